"""The main job, end to end: a real keyframe becomes a bag, the node's output comes back over DDS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from rosbags.rosbag2 import Reader

pytestmark = pytest.mark.ros


def run_demo(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gfocc_ros.demo", *options],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ.copy(),
        check=False,
    )


@pytest.mark.keyframe
def test_a_keyframe_goes_through_bag_node_and_back(keyframe_dir: Path, tmp_path: Path) -> None:
    done = run_demo("--dataroot", str(keyframe_dir), "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["frames"] == summary["outputs"] == summary["grids"] == 1
    assert summary["occupied_points"] > 0
    assert summary["latency_ms"] > 0
    assert summary["weights"] == "random"
    assert summary["node_exit_code"] == 0
    assert "NOISE" in done.stderr
    with Reader(tmp_path / "bag") as bag:
        assert bag.message_count > 12
    for name in ("birds_eye.png", "cameras.png"):
        with Image.open(tmp_path / name) as picture:
            assert len(picture.convert("RGB").getcolors(1 << 20) or range(99)) > 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dataroot", "/nowhere"], "dataroot '/nowhere' is not a folder"),
        (["--checkpoint", "/nowhere.safetensors"], "checkpoint '/nowhere.safetensors' does not"),
    ],
)
def test_bad_input_is_named(options: list[str], message: str, tmp_path: Path) -> None:
    done = run_demo("--out", str(tmp_path / "out"), *options)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
