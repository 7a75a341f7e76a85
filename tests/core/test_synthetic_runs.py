"""Generating goes on where it was interrupted, and only in a folder of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gfocc_core.data.scenes import DatasetError
from gfocc_core.synthetic import VERSION
from gfocc_core.synthetic.config import SyntheticConfig
from gfocc_core.synthetic.export import generate
from gfocc_core.synthetic.keyframe import KeyframeMaker
from gfocc_core.synthetic.workers import Chunk, share_out
from tests.core.street_dataset import BASE, digests, use_the_street, write_street_dataset


@pytest.fixture(autouse=True)
def _hand_made_world(monkeypatch: pytest.MonkeyPatch) -> None:
    use_the_street(monkeypatch)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> SyntheticConfig:
    return write_street_dataset(tmp_path_factory.mktemp("data") / "d")


class Killed(BaseException):
    pass


def test_an_interrupted_run_goes_on_and_ends_the_same(
    dataset: SyntheticConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(dataset, out=tmp_path / "d")
    made: list[int] = []
    make, write_truth = KeyframeMaker.make, KeyframeMaker._write_truth

    def die_within_a_keyframe(self: KeyframeMaker, *args: Any) -> str:
        if len(made) == 4:
            raise Killed
        return write_truth(self, *args)

    def count(self: KeyframeMaker, number: int) -> None:
        make(self, number)
        made.append(number)

    monkeypatch.setattr(KeyframeMaker, "make", count)
    monkeypatch.setattr(KeyframeMaker, "_write_truth", die_within_a_keyframe)
    with pytest.raises(Killed):
        generate(config)
    assert not (config.out / VERSION).exists()
    (config.out / "samples" / "CAM_FRONT" / ".half.jpg.0.partial").write_bytes(b"cut off")
    monkeypatch.setattr(KeyframeMaker, "_write_truth", write_truth)
    generate(config)
    assert made == [0, 1, 2, 0, 1, 2]
    assert digests(config.out) == digests(dataset.out)
    generate(config)
    assert len(made) == 6


def test_a_file_that_went_missing_is_made_again(tmp_path: Path) -> None:
    config = replace(BASE, out=tmp_path / "d", val_scenes=0, frames=2)
    generate(config)
    before = digests(config.out)
    for name in ("samples/CAM_BACK", "weak_labels/degraded"):
        next(path for path in (config.out / name).iterdir() if path.suffix != ".json").unlink()
    generate(config)
    assert digests(config.out) == before


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"seed": 1}, "seed is 0 there, not 1"),
        ({"frames": 4}, "frames is 3 there, not 4"),
        ({"rig": "four_cameras"}, "rig.cameras is"),
        ({"label_noise": replace(BASE.label_noise, missed=0.5)}, "label_noise.missed is 0.08"),
        ({"world": replace(BASE.world, max_slope=0.01)}, "world.max_slope is 0.05 there"),
    ],
)
def test_other_settings_are_refused_by_name(
    dataset: SyntheticConfig, change: dict[str, Any], difference: str
) -> None:
    before = digests(dataset.out)
    with pytest.raises(DatasetError, match=difference):
        generate(replace(dataset, **change))
    assert digests(dataset.out) == before


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "v1.0-mini").mkdir()
    with pytest.raises(DatasetError, match=r"holds something else, such as 'v1\.0-mini'"):
        generate(replace(BASE, out=tmp_path))
    assert os.listdir(tmp_path) == ["v1.0-mini"]
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="is not a folder"):
        generate(replace(BASE, out=tmp_path / "file"))


def test_two_runs_do_not_write_to_one_folder(dataset: SyntheticConfig) -> None:
    from gfocc_core.synthetic.dataset_folder import claimed_folder

    with claimed_folder(dataset), pytest.raises(DatasetError, match="another run is writing"):
        generate(dataset)


def test_scenes_are_shared_out_evenly() -> None:
    plans = replace(BASE, scenes=3, val_scenes=0).scene_plans()
    chunks = [Chunk(plan, (0, 1, 2, 3, 4)) for plan in plans]
    shared = share_out(chunks, 2)
    assert shared == [*chunks[:2], Chunk(plans[2], (0, 1, 2)), Chunk(plans[2], (3, 4))]


def _start(out: Path) -> subprocess.Popen[str]:
    options = ["--scenes=1", "--val_scenes=0", "--frames=40", "--height=32", "--width=88"]
    return subprocess.Popen(
        [sys.executable, "-m", "gfocc_core.synthetic", f"--out={out}", "--processes=2", *options],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # As a terminal does: tests in the background inherit an ignored SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def _wait_for_keyframes(out: Path, more: int) -> None:
    """Until that many more keyframes are recorded than now."""
    deadline, before = time.monotonic() + 120, None
    while True:
        found = len(list((out / ".progress").glob("*/*.json")))
        before = found if before is None else before
        if found >= before + more:
            return
        assert time.monotonic() < deadline, "no keyframe was made in two minutes"
        time.sleep(0.01)


def _a_worker_of(process: subprocess.Popen[str]) -> int:
    listing = ["pgrep", "-f", "-P", str(process.pid), "spawn_main"]
    return int(
        subprocess.run(listing, capture_output=True, text=True, check=True).stdout.split()[0]
    )


@pytest.mark.slow
def test_killed_processes_leave_a_folder_that_can_be_finished(tmp_path: Path) -> None:
    assert _start(tmp_path / "whole").wait(timeout=300) == 0

    broken = tmp_path / "broken"
    killed = _start(broken)
    _wait_for_keyframes(broken, 2)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not (broken / VERSION).exists()

    bereft = _start(broken)
    _wait_for_keyframes(broken, 2)
    os.kill(_a_worker_of(bereft), signal.SIGKILL)
    assert bereft.wait(timeout=120) == 2
    assert bereft.stderr is not None
    assert "a worker process died" in bereft.stderr.read()

    interrupted = _start(broken)
    _wait_for_keyframes(broken, 2)
    os.killpg(interrupted.pid, signal.SIGINT)
    assert interrupted.wait(timeout=60) == 130
    assert interrupted.stderr is not None
    assert "Traceback" not in interrupted.stderr.read()
    assert not (broken / VERSION).exists()

    assert _start(broken).wait(timeout=300) == 0
    assert digests(broken) == digests(tmp_path / "whole")
