"""The main job, end to end: a drive becomes a bag, the node's output comes back over DDS, scored."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rosbags.rosbag2 import Reader

from gfocc_core.checkpoint import save_checkpoint
from gfocc_core.config import preset
from gfocc_core.model import GaussianFlowNetwork

pytestmark = pytest.mark.ros


def run_demo(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gfocc_ros.demo.command", *options],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ.copy(),
        check=False,
    )


def check_pictures(summary: dict[str, Any]) -> None:
    assert [Path(path).name for path in summary["pictures"]] == [
        "birds_eye.png",
        "cameras.png",
        "drive.gif",
    ]
    for path in summary["pictures"]:
        with Image.open(path) as picture:
            assert len(picture.convert("RGB").getcolors(1 << 24) or ()) > 100


@pytest.mark.keyframe
def test_a_keyframe_goes_through_bag_node_and_back(keyframe_dir: Path, tmp_path: Path) -> None:
    checkpoint = untrained_checkpoint(tmp_path)
    options = ["--dataroot", str(keyframe_dir), "--checkpoint", str(checkpoint)]
    done = run_demo(*options, "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["frames"] == summary["outputs"] == summary["grids"] == 1
    assert summary["occupied_points"] > 0
    assert summary["latency_ms"] > 0
    assert summary["weights"] == str(checkpoint)
    assert summary["node_exit_code"] == 0
    assert summary["scored"] == 1
    # The keyframe has ground truth; the shipped prior is of another world.
    assert 0 <= summary["miou"] < summary["iou"] < 100
    assert summary["rayiou"] >= 0
    assert summary["prior_miou"] is summary["prior_iou"] is summary["prior_rayiou"] is None
    with Reader(tmp_path / "out" / "bag") as bag:
        assert bag.message_count > 12
    check_pictures(summary)


@pytest.mark.slow
def test_a_synthetic_drive_is_made_driven_and_scored(tmp_path: Path) -> None:
    options = ["--frames", "4", "--seed", "7", "--out", str(tmp_path)]
    summary = json.loads(run_demo(*options).stdout.splitlines()[-1])
    assert summary["frames"] == 4
    assert 1 <= summary["outputs"] <= 4
    assert summary["scored"] == summary["outputs"]
    assert 0 <= summary["iou"] <= 100
    assert summary["node_exit_code"] == 0
    check_pictures(summary)
    with Image.open(tmp_path / "drive.gif") as gif:
        assert getattr(gif, "n_frames", 1) == summary["outputs"]
    assert (tmp_path / "drive.gif").stat().st_size <= 8_000_000
    # The second run finds the drive as the first one left it.
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "dataset").rglob("*.jpg")}
    assert len(made) == 24
    again = run_demo(*options)
    assert again.returncode == 0, again.stderr
    assert made == {path: path.stat().st_mtime_ns for path in made}


def untrained_checkpoint(folder: Path) -> Path:
    config = preset("tiny")
    network = GaussianFlowNetwork(config.model, config.grid)
    path = folder / "untrained.safetensors"
    save_checkpoint(path, network.state_dict(), config)
    return path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dataroot", "/nowhere"], "dataroot '/nowhere' is not a folder"),
        (["--checkpoint", "/nowhere.safetensors"], "checkpoint '/nowhere.safetensors' does not"),
        (["--frames", "0"], "--frames must be at least 1, got 0"),
    ],
)
def test_bad_input_is_named(options: list[str], message: str, tmp_path: Path) -> None:
    done = run_demo("--out", str(tmp_path / "out"), *options)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
