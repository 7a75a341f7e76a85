"""Whole training runs on a small synthetic data set: resume after SIGKILL, several processes, bad input."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gfocc_core.data.index import SceneIndex
from gfocc_core.data.label_store import LabelStore
from gfocc_core.data.occ3d import occ3d_path
from gfocc_core.predictor import OccupancyPredictor
from gfocc_core.training.cli import main
from tests.conftest import ROOT
from tests.core.conftest import MakeFrame
from tests.core.weak_label_fixture import make_header, random_labels
from tests.nuscenes_fixture import write_nuscenes

NETWORK = {
    "network.model.backbone": "resnet10t",
    "network.model.channels": 16,
    "network.model.heads": 2,
    "network.model.points": 2,
    "network.model.blocks": 1,
    "network.model.inducing_points": 8,
    "network.model.gaussians": 40,
    "network.image.height": 32,
    "network.image.width": 64,
}


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Options of a run on two scenes of four keyframes with random labels."""
    root = tmp_path_factory.mktemp("training")
    dataroot = root / "data"
    write_nuscenes(dataroot, keyframes=4, sweeps=0)
    version = next(dataroot.glob("*/scene.json")).parent
    scenes = [scene["name"] for scene in json.loads((version / "scene.json").read_text())]
    splits = {"first": scenes[:1], "second": scenes[1:], "both": scenes}
    (version / "splits.json").write_text(json.dumps(splits))
    subprocess.run(
        [
            *(sys.executable, "training/index_nuscenes.py", "--dataroot", dataroot),
            *("--version", version.name, "--out", root / "index"),
        ],
        check=True,
        cwd=ROOT,
        capture_output=True,
    )
    header = make_header()
    store = LabelStore.create(root / "labels", header)
    for seed, token in enumerate(SceneIndex.load(root / "index", dataroot).tokens):
        store.write(token, random_labels(header, seed))
    return {
        **NETWORK,
        "data.dataroot": dataroot,
        "data.index": root / "index",
        "data.labels": root / "labels",
        "data.train_split": "both",
        "data.val_split": "null",
        "data.history": 1,
        "data.renders": 2,
        "data.batch_size": 1,
        "data.workers": 0,
        "optimizer.warmup_steps": 2,
        "run.precision": "32-true",
        "run.accelerator": "cpu",
        "run.log_every": 1,
        "run.max_steps": 12,
        "run.checkpoint_every": 3,
    }


def command(options: dict[str, object], out: Path, *flags: str) -> list[str]:
    pairs = [f"--{name}={value}" for name, value in {**options, "run.out": out}.items()]
    return [sys.executable, "training/train.py", *pairs, *flags]


def run(options: dict[str, object], out: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(options, out, *flags),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


Train = Callable[..., tuple[int, str]]


@pytest.fixture
def train(capfd: pytest.CaptureFixture[str]) -> Train:
    """Runs training/train.py's command in this process; returns exit code and stderr."""

    def call(options: dict[str, object], out: Path, *flags: str) -> tuple[int, str]:
        capfd.readouterr()
        try:
            code: Any = main(command(options, out, *flags)[2:])
        except SystemExit as end:
            code = end.code
        return code, capfd.readouterr().err

    return call


def losses(out: Path, tag: str = "train/loss") -> dict[int, float]:
    """Loss by step, the last one written where a step was run twice."""
    events = EventAccumulator(str(out / "tensorboard"))
    events.Reload()
    return {event.step: event.value for event in events.Scalars(tag)}


@pytest.fixture(scope="module")
def whole_run(options: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run left alone."""
    out = tmp_path_factory.mktemp("whole") / "run"
    done = run(options, out)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.parametrize("every", [3, pytest.param(8, marks=pytest.mark.slow)])
def test_a_run_killed_and_resumed_equals_the_one_left_alone(
    options: dict[str, object], whole_run: Path, tmp_path: Path, every: int
) -> None:
    """Killed within an epoch, and right at the end of one (an epoch has 8 steps)."""
    options = {**options, "run.checkpoint_every": every, "data.workers": int(every == 8)}
    out = tmp_path / "run"
    process = subprocess.Popen(
        command(options, out), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    checkpoint, deadline = out / "last.ckpt", time.monotonic() + 200
    while not checkpoint.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    before = losses(out)
    assert max(before, default=0) < 11
    done = run(options, out, "--resume")
    assert done.returncode == 0, done.stderr
    expected, resumed = losses(whole_run), losses(out)
    assert sorted(expected) == list(range(12))
    assert max(resumed) == 11
    assert resumed == pytest.approx({step: expected[step] for step in resumed}, rel=1e-5)
    assert len(set(expected.values())) == 12


def test_the_exported_weights_run_in_the_predictor(whole_run: Path, make_frame: MakeFrame) -> None:
    predictor = OccupancyPredictor.from_checkpoint(whole_run / "last.safetensors", "cpu")
    assert predictor.config.model.gaussians == 40
    assert tuple(predictor.predict(make_frame()).labels.shape) == (200, 200, 16)


def test_a_run_is_neither_overwritten_nor_resumed_by_mistake(
    options: dict[str, object], whole_run: Path, tmp_path: Path, train: Train
) -> None:
    code, told = train(options, whole_run)
    assert code == 2
    assert "holds a run already; use --resume" in told
    code, told = train(options, tmp_path / "nothing", "--resume")
    assert code == 2
    assert "nothing to resume" in told


def test_a_full_disk_leaves_the_last_good_checkpoint(
    options: dict[str, object], whole_run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(whole_run, out)
    before = (out / "last.ckpt").read_bytes()
    half = len(before) // 2
    done = subprocess.run(
        command({**options, "run.max_steps": 18}, out, "--resume"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (half, half)),
    )
    assert done.returncode == 2
    assert "File too large" in done.stderr.splitlines()[-1]
    assert (out / "last.ckpt").read_bytes() == before


@pytest.mark.slow
def test_two_processes_have_the_loss_of_one_with_the_doubled_batch(
    options: dict[str, object], tmp_path: Path
) -> None:
    steady = {
        **options,
        "network.model.dropout": 0.0,
        "freeze_batch_norm": "true",
        "run.max_steps": 3,
        "run.checkpoint_every": 100,
    }
    one, two = tmp_path / "one", tmp_path / "two"
    done = run({**steady, "data.batch_size": 2}, one)
    assert done.returncode == 0, done.stderr
    done = run({**steady, "run.devices": 2, "run.strategy": "ddp"}, two)
    assert done.returncode == 0, done.stderr
    expected, found = losses(one), losses(two)
    print("one process:", expected, "two processes:", found)
    assert len(expected) == 3
    assert found == pytest.approx(expected, rel=1e-4)


def test_accumulated_batches_make_one_step(
    options: dict[str, object], tmp_path: Path, train: Train
) -> None:
    code, told = train(
        {**options, "run.accumulate": 2, "run.max_steps": 2, "data.val_split": "second"},
        tmp_path / "run",
    )
    assert code == 0, told
    assert (tmp_path / "run" / "last.safetensors").is_file()


def test_3d_supervision_adds_its_loss_where_there_is_ground_truth(
    options: dict[str, object], tmp_path: Path, train: Train
) -> None:
    dataroot = Path(str(options["data.dataroot"]))
    index = SceneIndex.load(Path(str(options["data.index"])), dataroot)
    random = np.random.default_rng(0)
    for position, token in enumerate(index.tokens):
        path = occ3d_path(dataroot, index.scene_at(position), token)
        path.parent.mkdir(parents=True)
        semantics = random.integers(0, 18, (200, 200, 16)).astype(np.uint8)
        mask = random.random(semantics.shape) < 0.1
        np.savez(path, semantics=semantics, mask_lidar=mask, mask_camera=mask)
    out = tmp_path / "run"
    code, told = train({**options, "loss.occupancy_weight": 0.5, "run.max_steps": 2}, out)
    assert code == 0, told
    parts = [losses(out, f"train/{name}") for name in ("semantic", "depth", "occupancy", "loss")]
    assert min(parts[2].values()) > 0.5
    for step in (0, 1):
        assert parts[3][step] == pytest.approx(sum(part[step] for part in parts[:3]), rel=1e-5)


def test_validation_keeps_the_best_weights(
    options: dict[str, object], tmp_path: Path, train: Train
) -> None:
    out = tmp_path / "run"
    epochs = {"run.max_steps": -1, "run.epochs": 2, "data.train_split": "first"}
    code, told = train({**options, **epochs, "data.val_split": "second"}, out)
    assert code == 0, told
    assert len(losses(out, "val/loss")) == 2
    assert (out / "best.safetensors").is_file()


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_keyframes(
    options: dict[str, object], tmp_path: Path, train: Train
) -> None:
    out = tmp_path / "run"
    code, told = train({**options, "loss.semantic_weight": 1e39}, out)
    assert code == 2
    assert "the loss is not finite at step" in told
    tokens = json.loads((out / "non_finite_loss.json").read_text())["tokens"]
    index = SceneIndex.load(Path(str(options["data.index"])), Path(str(options["data.dataroot"])))
    assert tokens
    assert set(tokens) <= set(index.tokens)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data.train_split": "nowhere"}, "split 'nowhere' has no scene"),
        ({"data.labels": "/nowhere"}, "'/nowhere' is no label store"),
        ({"data.dataroot": "/nowhere"}, "/nowhere"),
        ({"data.batch_size": 0}, "batch_size must be at least 1"),
        ({"network.model.heads": 3}, "model.channels must be a multiple of model.heads"),
        ({"network.model.width": 3}, "network.model.width"),
        ({"loss.depth_weight": -1}, "loss.depth_weight must be >= 0"),
    ],
)
def test_bad_input_is_named(
    options: dict[str, object],
    tmp_path: Path,
    train: Train,
    changes: dict[str, object],
    message: str,
) -> None:
    code, told = train({**options, **changes}, tmp_path / "run")
    assert code == 2
    assert message in told
    assert "Traceback" not in told
