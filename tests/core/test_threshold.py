"""The density threshold is chosen by the very scores that evaluation gives, and travels with it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from gfocc_core.checkpoint import CheckpointError, load_checkpoint, save_checkpoint, with_config
from gfocc_core.config import Config, OccupancyConfig, preset
from gfocc_core.data.frames import load_frame
from gfocc_core.data.occ3d import occ3d_path
from gfocc_core.data.scenes import keyframe_tokens, open_nuscenes
from gfocc_core.metrics.accumulators import OccupancyIoU
from gfocc_core.model import GaussianFlowNetwork
from gfocc_core.predictor import OccupancyPredictor
from gfocc_core.training.evaluate_cli import main as evaluate_main
from gfocc_core.training.evaluation import OnlinePredictions, Scores, evaluate
from gfocc_core.training.threshold import (
    CRITERIA,
    best_threshold,
    score_by,
    score_thresholds,
    threshold_table,
)
from gfocc_core.training.threshold_cli import main
from tests.nuscenes_fixture import SCENES, VERSION, write_nuscenes

SPLIT = "toy"
THRESHOLDS = (0.02, 0.15, 0.4, 0.9)
BEST = 0.15
"""The truth is what the network itself predicts at this threshold."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, small_config: Config) -> Path:
    """An untrained network in half precision, whose densities spread over the thresholds."""
    model = replace(small_config.model, gaussians=400)
    config = Config(model=model, image=small_config.image, grid=preset("tiny").grid)
    torch.manual_seed(0)
    network = GaussianFlowNetwork(config.model, config.grid)
    path = tmp_path_factory.mktemp("threshold") / "net.safetensors"
    save_checkpoint(path, network.state_dict(), config, precision="float16")
    return path


def predictor_at(checkpoint: Path, threshold: float) -> OccupancyPredictor:
    predictor = OccupancyPredictor.from_checkpoint(checkpoint, "cpu")
    occupancy = replace(predictor.config.occupancy, threshold=threshold)
    predictor.config = replace(predictor.config, occupancy=occupancy)
    return predictor


@pytest.fixture(scope="module")
def dataroot(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> Path:
    """Two scenes of three keyframes; only the first is in the split and has ground truth."""
    root = tmp_path_factory.mktemp("data") / "data"
    write_nuscenes(root, keyframes=3, sweeps=0)
    (root / VERSION / "splits.json").write_text(json.dumps({SPLIT: SCENES[:1]}))
    nusc = open_nuscenes(root, VERSION)
    predictor = predictor_at(checkpoint, BEST)
    for token in keyframe_tokens(nusc, SCENES[0]):
        path = occ3d_path(root, SCENES[0], token)
        path.parent.mkdir(parents=True)
        labels = predictor.predict(load_frame(nusc, token)).labels.numpy()
        mask = np.ones(labels.shape, bool)
        np.savez_compressed(path, semantics=labels, mask_lidar=mask, mask_camera=mask)
    return root


@pytest.fixture(scope="module")
def scores(dataroot: Path, checkpoint: Path) -> dict[float, Scores]:
    predictor = OccupancyPredictor.from_checkpoint(checkpoint, "cpu")
    nusc = open_nuscenes(dataroot, VERSION)
    # Unsorted and with a repetition: neither may matter.
    return score_thresholds(nusc, SCENES[:1], predictor, (*THRESHOLDS[::-1], BEST))


def test_one_run_scores_every_threshold_as_evaluation_does(
    dataroot: Path, checkpoint: Path, scores: dict[float, Scores]
) -> None:
    nusc = open_nuscenes(dataroot, VERSION)
    assert list(scores) == list(THRESHOLDS)
    alone = {}
    for threshold in THRESHOLDS:
        source = OnlinePredictions(predictor_at(checkpoint, threshold))
        alone[threshold] = evaluate(nusc, SCENES[:1], source)
        assert scores[threshold].to_json() == alone[threshold].to_json(), threshold
    assert len({score_by(of, "iou") for of in alone.values()}) == len(THRESHOLDS)
    for by in CRITERIA:
        assert best_threshold(scores, by) == max(alone, key=lambda t: score_by(alone[t], by))
        assert best_threshold(scores, by) == BEST


def test_keyframes_between_are_not_scored_but_remembered(dataroot: Path, checkpoint: Path) -> None:
    nusc = open_nuscenes(dataroot, VERSION)
    predictor, seen = OccupancyPredictor.from_checkpoint(checkpoint, "cpu"), []
    thin = score_thresholds(
        nusc, SCENES[:1], predictor, (0.4,), every=2, on_keyframe=lambda: seen.append(None)
    )
    assert len(seen) == 3
    assert thin[0.4].keyframes == 2
    expected, memory = OccupancyIoU(), predictor_at(checkpoint, 0.4)
    for number, token in enumerate(keyframe_tokens(nusc, SCENES[0])):
        labels = memory.predict(load_frame(nusc, token)).labels
        if number % 2 == 0:
            with np.load(occ3d_path(dataroot, SCENES[0], token)) as truth:
                expected.update(labels, torch.from_numpy(truth["semantics"]))
    assert score_by(thin[0.4], "iou") == float(expected.compute()["iou_a"])
    assert predictor.state is None
    assert predictor.config == load_checkpoint(checkpoint)[1]


def with_scores(scores: Scores, miou: float, rayiou: float) -> Scores:
    return replace(
        scores,
        voxels=scores.voxels | {"miou_a": miou},
        rays=scores.rays | {"rayiou": rayiou},
    )


def test_the_criterion_decides_and_the_lower_of_equals_wins(scores: dict[float, Scores]) -> None:
    some, nan = scores[BEST], float("nan")
    table = {
        0.1: with_scores(some, nan, nan),
        0.2: with_scores(some, 30.0, nan),
        0.3: with_scores(some, 30.0, nan),
        0.4: with_scores(some, 20.0, nan),
    }
    assert best_threshold(table, "miou") == 0.2
    table[0.4] = with_scores(some, 20.0, 10.0)
    assert best_threshold(table, "rayiou") == 0.4
    marked = [row.split()[0] for row in threshold_table(table, 0.2).splitlines() if "<" in row]
    assert marked == ["0.2"]
    del table[0.4]
    with pytest.raises(ValueError, match="rayiou is undefined at every threshold"):
        best_threshold(table, "rayiou")


def stored(path: Path) -> dict[str, tuple[torch.dtype, torch.Size, bytes]]:
    with safe_open(path, framework="pt") as stream:
        tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
    return {name: (t.dtype, t.shape, t.numpy().tobytes()) for name, t in tensors.items()}


def command(dataroot: Path, checkpoint: Path, out: Path, *more: str) -> list[str]:
    options = ["--dataroot", dataroot, "--version", VERSION, "--checkpoint", checkpoint]
    options += ["--split", SPLIT, "--out", out, "--device", "cpu"]
    return [*map(str, options), *more]


def test_the_command_writes_the_best_threshold_and_the_same_weights(
    dataroot: Path,
    checkpoint: Path,
    scores: dict[float, Scores],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "new" / "chosen.safetensors"
    more = ["--thresholds", *map(str, THRESHOLDS), "--every", "1", "--by", "iou"]
    assert main(command(dataroot, checkpoint, out, *more)) == 0
    printed = capsys.readouterr().out
    row = next(line.split() for line in printed.splitlines() if line.endswith("<"))
    assert row[:3] == ["0.15", f"{100:.2f}", f"{100:.2f}"]
    assert f"wrote {out}: threshold 0.15, was 0.05" in printed
    assert "at an end" not in printed
    assert stored(out) == stored(checkpoint)
    assert torch.float16 in {dtype for dtype, _, _ in stored(out).values()}
    before, after = load_checkpoint(checkpoint)[1], load_checkpoint(out)[1]
    assert after == replace(before, occupancy=replace(before.occupancy, threshold=BEST))
    assert [entry.name for entry in out.parent.iterdir()] == [out.name]

    nusc = open_nuscenes(dataroot, VERSION)
    chosen = OnlinePredictions(OccupancyPredictor.from_checkpoint(out, "cpu"))
    assert evaluate(nusc, SCENES[:1], chosen).to_json() == scores[BEST].to_json()


def test_a_checkpoint_may_be_replaced_and_an_end_of_the_range_is_said(
    dataroot: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(checkpoint.read_bytes())
    more = ["--thresholds", "0.9", "0.4", "--scenes", SCENES[0]]
    assert main(command(dataroot, path, path, *more)) == 0
    assert load_checkpoint(path)[1].occupancy.threshold == 0.4
    assert stored(path) == stored(checkpoint)
    printed = capsys.readouterr().out
    assert "try some beyond 0.4" in printed
    assert "over 1 keyframes" in printed


def test_evaluate_takes_a_threshold(
    dataroot: Path, checkpoint: Path, scores: dict[float, Scores], tmp_path: Path
) -> None:
    options = ["--dataroot", dataroot, "--version", VERSION, "--checkpoint", checkpoint]
    options += ["--split", SPLIT, "--device", "cpu", "--json", tmp_path / "scores.json"]
    assert evaluate_main([*map(str, options), "--threshold", "0.4"]) == 0
    assert (tmp_path / "scores.json").read_text() == scores[0.4].to_json() + "\n"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--checkpoint", "/nowhere"], "checkpoint '/nowhere' does not exist"),
        (["--split", "val-x"], f"split 'val-x' has no scene in this dataset, which has: {SPLIT}"),
        (["--scenes", SCENES[1]], f"scene '{SCENES[1]}' is not in split '{SPLIT}'"),
        (["--thresholds", "0.1", "1.5"], "thresholds must be in [0, 1], got 1.5"),
        (["--thresholds", "nan"], "thresholds must be in [0, 1], got nan"),
        (["--every", "0"], "every must be >= 1, got 0"),
        (["--out", "/tmp"], "--out '/tmp' is a folder"),
    ],
)
def test_bad_input_is_named_and_nothing_is_written(
    dataroot: Path,
    checkpoint: Path,
    tmp_path: Path,
    more: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(command(dataroot, checkpoint, tmp_path / "out.safetensors", *more)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("choose_threshold: ")
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--predictions", "/tmp", "--threshold", "0.1"], "--threshold needs --checkpoint"),
        (["--prior", "/x.npz", "--neighborhood", "2"], "--neighborhood needs --checkpoint"),
        (["--untrained", "tiny", "--threshold", "2"], "threshold must be in [0, 1], got 2.0"),
    ],
)
def test_evaluate_refuses_what_cannot_change_the_labels(
    dataroot: Path, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--dataroot", str(dataroot), "--version", VERSION, "--split", SPLIT, *more]
    assert evaluate_main(options) == 2
    assert message in capsys.readouterr().err


def test_a_configuration_that_the_weights_do_not_fit_is_refused(
    checkpoint: Path, tmp_path: Path
) -> None:
    config = load_checkpoint(checkpoint)[1]
    other = replace(config, model=replace(config.model, gaussians=7))
    with pytest.raises(CheckpointError, match="does not fit its configuration"):
        with_config(checkpoint, other, tmp_path / "out.safetensors")
    assert not list(tmp_path.iterdir())
    with_config(checkpoint, replace(config, occupancy=OccupancyConfig(2)), tmp_path / "out")
    assert load_checkpoint(tmp_path / "out")[1].occupancy.neighborhood == 2
