"""Checkpoints come back as they were, or say what is wrong with them."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file

from gfocc_core.checkpoint import (
    CheckpointError,
    import_reference_checkpoint,
    import_reference_state_dict,
    load_checkpoint,
    save_checkpoint,
)
from gfocc_core.config import Config, preset
from gfocc_core.model import GaussianFlowNetwork
from gfocc_core.predictor import OccupancyPredictor
from tests.core.conftest import MakeFrame


@pytest.fixture
def saved(small_config: Config, tmp_path: Path) -> tuple[Path, GaussianFlowNetwork]:
    network = GaussianFlowNetwork(small_config.model, small_config.grid)
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, network.state_dict(), small_config)
    return path, network


def test_round_trip(saved: tuple[Path, GaussianFlowNetwork], small_config: Config) -> None:
    path, network = saved
    loaded, config = load_checkpoint(path)
    assert config == small_config
    for name, tensor in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_the_predictor_of_a_checkpoint_predicts_the_same(
    saved: tuple[Path, GaussianFlowNetwork], small_config: Config, make_frame: MakeFrame
) -> None:
    path, network = saved
    frame = make_frame()
    expected = OccupancyPredictor(network, small_config, "cpu").predict(frame)
    actual = OccupancyPredictor.from_checkpoint(path, device="cpu").predict(frame)
    assert torch.equal(actual.labels, expected.labels)
    assert torch.equal(actual.density, expected.density)


def test_a_failed_write_leaves_the_old_file(
    saved: tuple[Path, GaussianFlowNetwork], small_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, network = saved
    before = path.read_bytes()

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(path, network.state_dict(), small_config)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nowhere\.safetensors' does not exist"):
        load_checkpoint(tmp_path / "nowhere.safetensors")


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"this is not a checkpoint")
    with pytest.raises(CheckpointError, match="is not a safetensors file"):
        load_checkpoint(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="holds no gfocc configuration"):
        load_checkpoint(path)


def test_a_configuration_that_does_not_fit_names_tensors_and_shapes(
    saved: tuple[Path, GaussianFlowNetwork], small_config: Config
) -> None:
    path, network = saved
    weights = network.state_dict()
    weights["initial_means"] = torch.zeros(7, 3)
    del weights["flow.layers.0.bias"]
    save_checkpoint(path, weights, small_config)
    with pytest.raises(CheckpointError, match="2 tensors differ") as error:
        load_checkpoint(path)
    assert "flow.layers.0.bias: missing" in str(error.value)
    assert "initial_means: [7, 3] in the file, [60, 3] wanted" in str(error.value)


def test_a_broken_configuration_is_named(saved: tuple[Path, GaussianFlowNetwork]) -> None:
    path, _ = saved
    save_file(load_file(path), path, {"gfocc_config": '{"modle": {}}', "gfocc_format": "1"})
    with pytest.raises(CheckpointError, match="modle"):
        load_checkpoint(path)


def reference_names(network: GaussianFlowNetwork) -> dict[str, torch.Tensor]:
    """The network's weights under the reference's names, images included (built by hand)."""
    theirs = {
        "initial_features": "gaussian_queries",
        "heads.semantics": "semantic_head",
        "decoder.position.layers": "gaussian_decoder.pos_enc.pos_enc",
        "decoder.blocks": "gaussian_decoder.blocks",
        "temporal_attention.": "temporal_attn.",
        "self_attention.": "self_attn.",
        "image_attention.camera_embedding": "cross_att.cams_embeds",
        "image_attention.level_embedding": "cross_att.level_embeds",
        "image_attention.value": "cross_att.value_proj",
        "image_attention.output": "cross_att.output_proj",
        "image_attention.norm": "cross_att.ln",
        "image_attention.": "cross_att.",
        "gather_ff_norm": "induced_ln2",
        "gather_ff": "induced_ff",
        "gather_norm": "induced_ln1",
        "gather.": "induced_attention.",
        "spread_ff_norm": "output_ln2",
        "spread_ff": "output_ff",
        "spread_norm": "output_ln1",
        "spread.": "output_attention.",
        ".rectify.": ".gaussian_rectifier.mean_head.",
        "flow.step_embedding": "temporal_module.time_embed",
        "flow.layers": "temporal_module.ffn",
        "encoder.backbone.": "img_backbone.",
    }
    names = {}
    for name, tensor in network.state_dict().items():
        renamed = name
        for ours, reference in theirs.items():
            renamed = renamed.replace(ours, reference)
        for head in ("opacity", "scale", "rotation"):
            renamed = renamed.replace(f"heads.{head}.", f"{head}_head.")
        if renamed.startswith("encoder.neck."):
            _, _, kind, index, _, parameter = renamed.split(".")
            kind = "lateral_convs" if kind == "inner_blocks" else "fpn_convs"
            renamed = f"img_neck.{kind}.{index}.conv.{parameter}"
        names[renamed] = tensor
    names["gaussian_decoder.pos_enc.pc_range"] = torch.tensor([-40.0, -40, -1, 40, 40, 5.4])
    return names


@pytest.fixture(scope="module")
def resnet50_network() -> GaussianFlowNetwork:
    model = replace(
        preset("paper").model, channels=32, heads=4, points=3, blocks=2, gaussians=50, cameras=5
    )
    return GaussianFlowNetwork(model, preset("paper").grid)


def test_a_whole_reference_checkpoint_loads_images_included(
    resnet50_network: GaussianFlowNetwork, tmp_path: Path
) -> None:
    path = tmp_path / "reference.pth"
    weights = reference_names(resnet50_network)
    weights["img_backbone.fc.weight"] = torch.zeros(1000, 2048)
    torch.save({"state_dict": {f"module.{k}": v for k, v in weights.items()}}, path)
    imported = import_reference_checkpoint(path, heads=4)
    assert imported.has_images
    assert imported.model == resnet50_network.config
    assert set(imported.explained) == {
        "gaussian_decoder.pos_enc.pc_range",
        "img_backbone.fc.weight",
    }
    for name, tensor in resnet50_network.state_dict().items():
        assert torch.equal(imported.state_dict[name], tensor), name


def test_the_resnet_has_torchvisions_parameter_names(resnet50_network: GaussianFlowNetwork) -> None:
    ours = resnet50_network.encoder.backbone.state_dict()
    theirs = torchvision.models.resnet50(weights=None).state_dict()
    assert {k: v.shape for k, v in ours.items()} == {
        k: v.shape for k, v in theirs.items() if not k.startswith("fc.")
    }


def test_unknown_and_missing_reference_keys_are_named(
    resnet50_network: GaussianFlowNetwork,
) -> None:
    weights = reference_names(resnet50_network)
    with pytest.raises(ValueError, match=r"1 unknown reference parameters: extra\.weight"):
        import_reference_state_dict(weights | {"extra.weight": torch.zeros(1)}, heads=4)
    del weights["gaussian_queries"]
    with pytest.raises(ValueError, match="'initial_features' is missing"):
        import_reference_state_dict(weights, heads=4)


class Payload:
    """Unpickling this would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return (open, (str(self.path), "w"))


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    path, marker = tmp_path / "evil.pth", tmp_path / "executed"
    torch.save({"state_dict": Payload(marker)}, path)
    with pytest.raises(CheckpointError, match="cannot be read safely"):
        import_reference_checkpoint(path)
    path.write_bytes(pickle.dumps(Payload(marker)))
    with pytest.raises(CheckpointError, match="cannot be read safely"):
        import_reference_checkpoint(path)
    assert not marker.exists()
