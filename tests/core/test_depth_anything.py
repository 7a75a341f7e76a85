"""depth-anything: transformers' true path with small random weights, and what may be missing."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from gfocc_core.labelling.protocols import LabellingError
from tests.core.depth_network_fixture import (
    SIZES,
    estimate,
    label_real_keyframe,
    load,
    photographs,
    use_own_folders,
)

PROCESSING = {
    "image_processor_type": "DPTImageProcessor",
    "size": {"height": 112, "width": 112},
    "keep_aspect_ratio": True,
    "ensure_multiple_of": 14,
    "resample": 3,
    "do_pad": False,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
}


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_own_folders(tmp_path, monkeypatch)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_depth_anything(tmp_path / "small depth")


def write_depth_anything(path: Path, seed: int = 0, kind: str = "metric") -> Path:
    """A folder as published, of a network with four small layers and spread-out weights."""
    transformers = pytest.importorskip("transformers")
    backbone = transformers.Dinov2Config(
        image_size=112,
        patch_size=14,
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        out_indices=[1, 2, 3, 4],
        apply_layernorm=True,
        reshape_hidden_states=False,
    )
    config = transformers.DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=32,
        neck_hidden_sizes=[8, 8, 16, 16],
        fusion_hidden_size=8,
        head_hidden_size=8,
        depth_estimation_type=kind,
        max_depth=80,
    )
    torch.manual_seed(seed)
    network = transformers.DepthAnythingForDepthEstimation(config)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 1 / parameter[0].numel() ** 0.5)
    network.save_pretrained(path)
    (path / "preprocessor_config.json").write_text(json.dumps(PROCESSING))
    return path


def test_depth_anything_says_what_transformers_says(folder: Path) -> None:
    transformers = pytest.importorskip("transformers")
    network = load(f"depth-anything,weights={folder}")
    images = photographs(*SIZES)
    found = estimate(network, images)
    # as its model card does it: PIL's resizing, one image at a time
    processor = transformers.DPTImageProcessor.from_pretrained(folder)
    reference = transformers.DepthAnythingForDepthEstimation.from_pretrained(folder).eval()
    for image, metres in zip(images, found, strict=True):
        pixels = processor(Image.fromarray(image.numpy()), return_tensors="pt").pixel_values
        with torch.no_grad():
            expected = reference(pixels).predicted_depth[0]
        assert metres.shape == expected.shape
        assert float(expected.std()) > 0.5
        torch.testing.assert_close(metres, expected, rtol=0.02, atol=0.05)
    assert [tuple(metres.shape) for metres in found] == [(112, 196), (112, 196), (112, 112)]


def test_depth_anything_is_named_by_its_weights(folder: Path, tmp_path: Path) -> None:
    other = write_depth_anything(tmp_path / "other" / folder.name, seed=1)
    names = {load(f"depth-anything,weights={path}").name for path in (folder, folder, other)}
    assert len(names) == 2
    usual = tmp_path / "weights/Depth-Anything-V2-Metric-Outdoor-Small-hf"
    usual.parent.mkdir()
    folder.rename(usual)
    said = load("depth-anything,variant=small").name
    assert said.startswith(f"Depth Anything V2 metric outdoor Small {usual.name} ")


def test_a_random_depth_anything_says_so_and_covers_80_metres() -> None:
    pytest.importorskip("transformers")
    network = load("depth-anything,weights=random,variant=small")
    assert network.name == "Depth Anything V2 metric outdoor Small random weights"
    (metres,) = estimate(network, photographs((60, 90)))
    assert metres.shape == (350, 518)
    assert 0 < float(metres.min()) <= float(metres.max()) < 80


def edit_config(**changes: Any) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda f: f.rename(f.with_name("gone")), "do not exist.*hf download depth-anything/"),
        (lambda f: (f / "config.json").unlink(), "config.json cannot be read"),
        (edit_config(model_type="dpt"), "are of a 'dpt', but Depth Anything .* 'depth_anything'"),
        (edit_config(head_hidden_size=9), "wrong shape of head.conv2"),
        (edit_config(depth_estimation_type="relative"), "are of relative depth, not of metres"),
        (
            lambda f: (f / "model.safetensors").write_bytes(
                (f / "model.safetensors").read_bytes()[:-9]
            ),
            "cannot be read",
        ),
        (lambda f: (f / "model.safetensors").unlink(), "cannot be read"),
        (lambda f: (f / "preprocessor_config.json").unlink(), "preprocessor_config.json is miss"),
        (lambda f: (f / "preprocessor_config.json").write_text("{"), "preprocessor_config.json c"),
    ],
    ids=[
        *("folder", "no config", "other network", "shape", "relative", "cut", "no weights"),
        *("no processing", "cut processing"),
    ],
)
def test_an_unusable_depth_anything_is_named(
    folder: Path, damage: Callable[[Path], object], said: str
) -> None:
    damage(folder)
    with pytest.raises(LabellingError, match=said) as caught:
        load(f"depth-anything,weights={folder}")
    assert str(folder) in str(caught.value)


def test_depth_anything_needs_its_package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(LabellingError, match=r"pip install 'transformers<5'.*'\.\[labels\]'"):
        load(f"depth-anything,weights={folder}")


@pytest.mark.keyframe
def test_the_real_keyframe_is_labelled_by_the_command(
    keyframe_dir: Path, folder: Path, tmp_path: Path
) -> None:
    label_real_keyframe(keyframe_dir, tmp_path, f"depth-anything,weights={folder}")
