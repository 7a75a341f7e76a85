"""The memory benchmark: frames between keyframes are right, and its rows say what they ran."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from nuscenes.nuscenes import NuScenes

from gfocc_core.data.frames import load_frame
from gfocc_core.data.scenes import DatasetError, keyframe_tokens, open_nuscenes
from gfocc_core.synthetic.config import SyntheticConfig
from gfocc_core.synthetic.export import generate
from tests.conftest import ROOT

SCRIPT = ROOT / "benchmarks" / "memory_cadence.py"
SCENE = "synthetic-val-0000"


@pytest.fixture(scope="module")
def dataroot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One scene of three keyframes with two images of each camera between them, 6 Hz."""
    out = tmp_path_factory.mktemp("cadence") / "data"
    config = SyntheticConfig(
        out=out,
        scenes=0,
        val_scenes=1,
        frames=3,
        height=64,
        width=96,
        sweeps_per_keyframe=2,
        label_stores=(),
        processes=1,
    )
    generate(config)
    return out


@pytest.fixture(scope="module")
def nusc(dataroot: Path) -> NuScenes:
    return open_nuscenes(dataroot, "v1.0-synthetic")


@pytest.fixture
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


@pytest.mark.usefixtures("_benchmarks")
def test_frames_between_keyframes_come_at_the_cameras_rate(nusc: NuScenes) -> None:
    from cadence_frames import CameraRateScene

    first, *later = (load_frame(nusc, token) for token in keyframe_tokens(nusc, SCENE))
    scene, frames = CameraRateScene(nusc, SCENE), [first]
    for token in keyframe_tokens(nusc, SCENE)[1:]:
        frames.extend(scene.frames_up_to(token, frames[-1].stamp_ns))
    assert len(frames) == 7
    for keyframe, found in zip(later, frames[3::3], strict=True):
        assert found.stamp_ns == keyframe.stamp_ns
        assert torch.equal(found.images[0], keyframe.images[0])
    for before, after in itertools.pairwise(frames):
        assert 0.1 < (after.stamp_ns - before.stamp_ns) * 1e-9 < 0.24
        assert not torch.equal(before.images[1], after.images[1])
    for frame in frames:
        assert frame.scene == SCENE
        # Cameras hang on the vehicle, up to what it drives between its stamp and theirs.
        away = (frame.rig.ego_from_cam - first.rig.ego_from_cam)[:, :3, 3].norm(dim=-1)
        assert float(away.max()) < 1.5


@pytest.mark.usefixtures("_benchmarks")
def test_a_scene_without_images_between_keyframes_is_named(
    nusc: NuScenes, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cadence_frames import CameraRateScene

    kept = [
        record
        for record in nusc.sample_data
        if record["is_key_frame"] or record["channel"] != "CAM_BACK"
    ]
    monkeypatch.setattr(nusc, "sample_data", kept)
    with pytest.raises(DatasetError, match=r"has no images between keyframes from CAM_BACK$"):
        CameraRateScene(nusc, SCENE)


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), "--device", "cpu", *flags]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_every_way_is_scored_at_the_same_keyframes(dataroot: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = run("--dataroot", str(dataroot), "--json", str(report))
    assert done.returncode == 0, done.stderr[-2000:]
    alone, keyframes, before, back = json.loads(report.read_text())["rows"]
    assert [row["keyframes"] for row in (alone, keyframes, before, back)] == [3] * 4
    assert [row["frames"] for row in (alone, keyframes, before, back)] == [3, 3, 7, 7]
    assert alone["memory_age_s"] is None
    assert keyframes["memory_age_s"] == back["memory_age_s"] == pytest.approx(0.5)
    assert 0.1 < before["memory_age_s"] < 0.24
    scores = ("miou", "iou", "rayiou")
    assert [back[name] for name in scores] == [keyframes[name] for name in scores]
    assert before["iou"] != back["iou"] != alone["iou"]
    assert "| all images, 0.5 s back | 7 | 3 | 0.500 |" in done.stdout


def test_bad_options_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import memory_cadence

    for flags, message in (
        (["--dataroot", str(tmp_path / "none")], "is not a folder"),
        (["--between", "0"], "--between must be >= 1, got 0"),
    ):
        monkeypatch.setattr(sys, "argv", [SCRIPT.name, "--device", "cpu", *flags])
        with pytest.raises(SystemExit, match="2"):
            memory_cadence.main()
        assert message in capsys.readouterr().err
