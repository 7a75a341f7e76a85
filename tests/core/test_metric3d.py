"""metric3d: torch.hub's true path with small random weights, and what may be missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch

from gfocc_core.labelling.protocols import LabellingError
from tests.core.depth_network_fixture import (
    SIZES,
    estimate,
    label_real_keyframe,
    load,
    photographs,
    use_own_folders,
)
from tests.core.hub_fixture import write_checkpoint, write_repository


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_own_folders(tmp_path, monkeypatch)


def offline(*_: Any, **__: Any) -> None:
    """Stands for what reaches out to the network."""
    raise URLError("no network")


def test_metric3d_comes_from_a_clone_with_weights_from_a_file(tmp_path: Path) -> None:
    clone = write_repository(tmp_path / "clone")
    names = set()
    for seed in (1, 2):
        file = write_checkpoint(tmp_path / f"{seed}.pth", seed)
        network = load(f"metric3d,repository={clone},weights={file}")
        names.add(network.name)
        (near,) = estimate(network, photographs((90, 160)))
        assert near.shape == (598, 1064)
        # the bins are 1 to 40 canonical metres, fx * resize / 1000 = 100 * 6.65 / 1000
        assert 0.665 <= float(near.min()) < float(near.max()) <= 40 * 0.665
        (far,) = estimate(network, photographs((90, 160)), focal=200.0)
        torch.testing.assert_close(far, 2 * near)
    assert len(names) == 2
    assert all(name.startswith("Metric3D v2 ViT-large ") for name in names)


def test_metric3d_takes_a_batch_that_is_larger_than_its_first(tmp_path: Path) -> None:
    network = load(f"metric3d,repository={write_repository(tmp_path)},weights=random")
    images = photographs(*SIZES)
    pair = estimate(network, images[:2])
    together = estimate(network, images)
    torch.testing.assert_close(together[:2], pair, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(together[2:], estimate(network, images[2:]), rtol=1e-4, atol=1e-4)


def test_metric3d_comes_from_torch_hubs_cache_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "urlopen", offline)
    checkpoints = tmp_path / "torch/hub/checkpoints"
    checkpoints.mkdir(parents=True)
    file = write_checkpoint(checkpoints / "metric_depth.pth", 3)
    url = "https://example.org/metric_depth.pth"
    write_repository(tmp_path / "torch/hub/yvanyin_metric3d_main", weights=url)
    by_hub = load("metric3d")
    by_hand = load(f"metric3d,weights={file}")
    assert by_hub.name == by_hand.name
    assert load("metric3d,weights=random").name == "Metric3D v2 ViT-large random weights"
    images = photographs((90, 160))
    torch.testing.assert_close(estimate(by_hub, images), estimate(by_hand, images))


def test_metric3d_finds_weights_in_the_default_folder(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    file = write_checkpoint(tmp_path / "weights/metric_depth_vit_large_800k.pth", 4)
    clone = write_repository(tmp_path / "clone", weights="file:///nowhere.pth")
    given = load(f"metric3d,repository={clone},weights={file}")
    assert load(f"metric3d,repository={clone}").name == given.name


def test_metric3d_says_how_to_do_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(LabellingError, match=r"torch\.hub: URLError.*no network") as caught:
        load("metric3d")
    for said in (
        "git clone https://github.com/YvanYin/Metric3D DIR",
        "repository=DIR",
        f"-o '{tmp_path}/weights/metric_depth_vit_large_800k.pth'",
        "JUGGHM/Metric3D/resolve/main/metric_depth_vit_large_800k.pth",
    ):
        assert said in str(caught.value)
    clone = write_repository(tmp_path / "clone", weights="https://example.org/a.pth")
    with pytest.raises(LabellingError, match=f"from {clone}: URLError.*no network.*curl"):
        load(f"metric3d,repository={clone}")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("variant=huge", "variant must be one of small, large, giant2, got 'huge'"),
        ("repository={root}/nowhere", "repository '{root}/nowhere' has no hubconf.py.*git clone"),
        ("variant=giant2", "ModuleNotFoundError.*mmengine_that_is.*pip install --no-deps mmengine"),
        ("variant=small", r"'metric3d_vit_small'.*a Decoder without inference\(\)"),
        ("weights={root}/nowhere.pth", "ViT-large: its weights '{root}/nowhere.pth' do not exist"),
        ("weights={root}/cut.pth", "weights '{root}/cut.pth' cannot be read"),
        ("weights={root}/less.pth", "less.pth' are not .* it lacks depth_model.logits.bias"),
        ("weights={root}/small.pth", r"wrong shape of depth_model.logits.bias \[7\] for \[8\]"),
    ],
)
def test_metric3d_names_what_it_cannot_use(tmp_path: Path, options: str, said: str) -> None:
    whole = write_checkpoint(tmp_path / "whole.pth", 0).read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[:-300])
    write_checkpoint(tmp_path / "less.pth", 0, bias=None)
    write_checkpoint(tmp_path / "small.pth", 0, bias=torch.zeros(7))
    clone = write_repository(tmp_path / "clone")
    given = options.format(root=tmp_path)
    if "repository" not in given:
        given += f",repository={clone}"
    with pytest.raises(LabellingError, match=said.format(root=tmp_path)):
        load(f"metric3d,{given}")


def test_metric3d_says_where_it_needs_a_gpu(tmp_path: Path) -> None:
    clone = write_repository(tmp_path, needs_gpu=True)
    with pytest.raises(LabellingError, match=r"ViT-large needs a GPU: .*not compiled with CUDA"):
        load(f"metric3d,repository={clone},weights=random")


@pytest.mark.keyframe
def test_the_real_keyframe_is_labelled_by_the_command(keyframe_dir: Path, tmp_path: Path) -> None:
    file = write_checkpoint(tmp_path / "w.pth", 1)
    clone = write_repository(tmp_path / "clone")
    label_real_keyframe(keyframe_dir, tmp_path, f"metric3d,repository={clone},weights={file}")
