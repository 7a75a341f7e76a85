"""Evaluation: perfect predictions score 100, saved ones score the same again, bad input is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from gfocc_core.checkpoint import save_checkpoint
from gfocc_core.config import Config, preset
from gfocc_core.data.occ3d import occ3d_path
from gfocc_core.data.scenes import keyframe_tokens, open_nuscenes, scene_names
from gfocc_core.model import GaussianFlowNetwork
from gfocc_core.training.evaluate_cli import main
from gfocc_core.training.evaluation import save_labels
from tests.nuscenes_fixture import write_nuscenes


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, list[str]]:
    """Two scenes of two keyframes with random ground truth: dataroot, version, tokens."""
    root = tmp_path_factory.mktemp("evaluation") / "data"
    write_nuscenes(root, keyframes=2, sweeps=0)
    version = next(root.glob("*/scene.json")).parent.name
    nusc = open_nuscenes(root, version)
    random = np.random.default_rng(0)
    tokens = []
    for scene in scene_names(nusc):
        for token in keyframe_tokens(nusc, scene):
            path = occ3d_path(root, scene, token)
            path.parent.mkdir(parents=True)
            semantics = random.integers(0, 18, (200, 200, 16)).astype(np.uint8)
            semantics[random.random(semantics.shape) < 0.9] = 17
            masks = random.random((2, 200, 200, 16)) < 0.5
            np.savez(path, semantics=semantics, mask_lidar=masks[0], mask_camera=masks[1])
            tokens.append(token)
    return root, version, tokens


def truth_of(dataset: tuple[Path, str, list[str]], token: str) -> np.ndarray:
    return np.load(next(dataset[0].glob(f"gts/*/{token}/labels.npz")))["semantics"]


def test_the_truth_scores_100_and_one_wrong_class_costs_its_share(
    dataset: tuple[Path, str, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, version, tokens = dataset
    for token in tokens:
        labels = truth_of(dataset, token).copy()
        labels[labels == 4] = 5
        save_labels(tmp_path / "saved", token, torch.from_numpy(labels))
    result = tmp_path / "scores.json"
    common = ["--dataroot", str(root), "--version", version, "--json", str(result)]
    assert main([*common, "--predictions", str(tmp_path / "saved")]) == 0
    scores = json.loads(result.read_text())
    assert scores["keyframes"] == 4
    assert scores["iou_b"] == pytest.approx(100)
    assert scores["per_class_b"][4] == 0
    assert scores["per_class_b"][5] == pytest.approx(50, abs=2)
    assert scores["per_class_b"][6] == pytest.approx(100)
    assert scores["miou_b"] == pytest.approx((15 * 100 + scores["per_class_b"][5]) / 17)
    assert scores["per_class_a"][12] == 0 or scores["per_class_a"][12] is None
    assert scores["rayiou_per_class"][0][6] == pytest.approx(100)
    table = capsys.readouterr().out
    assert "construction_vehicle" in table
    assert "RayIoU 17 classes" in table


def test_saved_predictions_score_as_the_run_that_saved_them(
    dataset: tuple[Path, str, list[str]], tmp_path: Path, small_config: Config
) -> None:
    root, version, tokens = dataset
    config = Config(model=small_config.model, image=small_config.image, grid=preset("tiny").grid)
    network = GaussianFlowNetwork(config.model, config.grid)
    save_checkpoint(tmp_path / "net.safetensors", network.state_dict(), config)
    common = ["--dataroot", str(root), "--version", version, "--device", "cpu"]
    saved = tmp_path / "saved"
    run = ["--checkpoint", str(tmp_path / "net.safetensors"), "--save-predictions", str(saved)]
    assert main([*common, *run, "--json", str(tmp_path / "run.json")]) == 0
    assert sorted(path.stem for path in saved.iterdir()) == sorted(tokens)
    assert main([*common, "--predictions", str(saved), "--json", str(tmp_path / "again.json")]) == 0
    assert (tmp_path / "run.json").read_text() == (tmp_path / "again.json").read_text()
    small = ["--neighborhood", "1", "--json", str(tmp_path / "small.json")]
    assert main([*common, "--checkpoint", str(tmp_path / "net.safetensors"), *small]) == 0
    assert (tmp_path / "small.json").read_text() != (tmp_path / "run.json").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--checkpoint", "/nowhere.safetensors"], "checkpoint '/nowhere.safetensors' does not"),
        (["--predictions", "/nowhere"], "predictions '/nowhere' is not a folder"),
        (["--predictions", "/tmp", "--scenes", "scene-x"], "scene 'scene-x' is not in"),
        (["--predictions", "/tmp", "--split", "val-x"], "split 'val-x' has no scene"),
    ],
)
def test_bad_input_is_named(
    dataset: tuple[Path, str, list[str]],
    options: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root, version, _ = dataset
    assert main(["--dataroot", str(root), "--version", version, *options]) == 2
    assert message in capsys.readouterr().err


def test_a_prediction_of_another_shape_is_named(
    dataset: tuple[Path, str, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, version, tokens = dataset
    save_labels(tmp_path, tokens[0], torch.zeros(2, 2, 2, dtype=torch.uint8))
    assert (
        main(["--dataroot", str(root), "--version", version, "--predictions", str(tmp_path)]) == 2
    )
    assert "must be uint8 [200, 200, 16]" in capsys.readouterr().err
