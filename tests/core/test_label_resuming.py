"""Label generation that was cut, killed or met by another run goes on and loses nothing."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gfocc_core.data import label_store
from tests.conftest import ROOT
from tests.core.label_commands import SCRIPT, LabelledDataset, objects


@pytest.fixture
def dataset(tmp_path: Path) -> LabelledDataset:
    return LabelledDataset(tmp_path)


def test_a_second_run_adds_nothing_and_a_missing_keyframe_is_made_anew(
    dataset: LabelledDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dataset.depth("d") == 0
    before = objects(dataset.store("d"))
    (dataset.root / "d" / f"{dataset.index.tokens[4]}.labels").unlink()
    capsys.readouterr()
    assert dataset.depth("d") == 0
    said = capsys.readouterr()
    assert "1 keyframes written" in said.out
    assert "5 were there" in said.out
    assert "depth: 5 of 6 keyframes are there already" in said.err
    assert objects(dataset.store("d")) == before


def start(dataset: LabelledDataset, out: str) -> subprocess.Popen[str]:
    arguments = dataset.depth_arguments(out, "--threads", "1", options=",pause=0.3")
    return subprocess.Popen([sys.executable, str(SCRIPT), *arguments], cwd=ROOT, text=True)


def wait_for_labels(folder: Path, count: int, names: str = "*.labels") -> None:
    until = time.monotonic() + 120
    while len(list(folder.glob(names))) < count:
        assert time.monotonic() < until, "no labels appear"
        time.sleep(0.01)


def test_a_killed_run_is_gone_on_with(
    dataset: LabelledDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    process = start(dataset, "d")
    try:
        wait_for_labels(dataset.root / "d", 2)
    finally:
        process.kill()
        process.wait()
    kept = objects(dataset.store("d"))
    assert 2 <= len(kept) < 6
    times = {name: (dataset.root / "d" / name).stat().st_mtime_ns for name in kept}
    assert dataset.depth("d") == 0
    assert f"{len(kept)} were there" in capsys.readouterr().out
    for name, written in times.items():
        assert (dataset.root / "d" / name).stat().st_mtime_ns == written
    assert dataset.depth("whole") == 0
    assert objects(dataset.store("d")) == objects(dataset.store("whole"))


def test_an_interrupted_run_says_how_to_go_on(dataset: LabelledDataset) -> None:
    arguments = dataset.depth_arguments("d", "--threads", "1", options=",pause=0.3")
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), *arguments, "--devices", "2"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    for token in dataset.index.tokens[:2]:  # the first of each process, which both are at work
        wait_for_labels(dataset.root / "d", 1, f"{token}.labels")
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "the same command goes on where it stopped" in said
    assert "Traceback" not in said


def test_two_runs_may_meet_in_one_store(dataset: LabelledDataset) -> None:
    processes = [start(dataset, "d") for _ in range(2)]
    assert [process.wait(timeout=200) for process in processes] == [0, 0]
    assert dataset.depth("whole") == 0
    assert objects(dataset.store("d")) == objects(dataset.store("whole"))
    assert not list((dataset.root / "d").glob(".*"))


def test_corrupt_and_missing_images_are_left_out_listed_and_made_up_for(
    dataset: LabelledDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    broken, gone, small = dataset.image(1, 2), dataset.image(3), dataset.image(4, 5)
    whole = {path: path.read_bytes() for path in (broken, gone, small)}
    broken.write_bytes(whole[broken][:-200])
    gone.unlink()
    Image.new("RGB", (10, 10)).save(small)
    assert dataset.depth("d") == 1
    said = capsys.readouterr()
    assert "3 keyframes written" in said.out
    assert "3 left out" in said.out
    for path in (broken, gone, small):
        assert str(path) in said.err
    assert "it is 10x10, but sample_data says 64x36" in said.err
    for path, content in whole.items():
        path.write_bytes(content)
    assert dataset.depth("d") == 0
    assert len(dataset.store("d").tokens()) == 6


def test_a_full_disk_stops_the_run_and_loses_nothing(
    dataset: LabelledDataset, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written = 0
    atomically = label_store.write_atomically

    def fills_up(path: Path, write: Callable[[Any], object]) -> None:
        nonlocal written
        written += 1
        if written > 3:  # the header and two keyframes
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        atomically(path, write)

    with monkeypatch.context() as patch:
        patch.setattr(label_store, "write_atomically", fills_up)
        assert dataset.depth("d") == 2
    said = capsys.readouterr().err
    assert f"the disk of '{dataset.root / 'd'}' is full" in said
    assert "the 2 keyframes written before are safe" in said
    assert len(dataset.store("d").tokens()) == 2
    assert dataset.depth("d") == 0
    assert len(dataset.store("d").tokens()) == 6


def test_a_write_that_the_system_refuses_leaves_a_store_to_go_on_with(
    dataset: LabelledDataset,
) -> None:
    arguments = dataset.depth_arguments("d", factory="disk_filling_depth", options=",keyframes=4")
    command = [sys.executable, str(SCRIPT), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    store = dataset.store("d")
    kept = len(store.tokens())
    assert 2 <= kept <= 4  # the last two may still have waited for the disk
    said = done.stderr.splitlines()[-1]
    assert f"labels cannot be written to '{store.path}': [Errno 27] File too large" in said
    assert f"the {kept} keyframes written before are safe; the same command goes on" in said
    assert sorted(path.suffix for path in store.path.iterdir()) == [".json", *[".labels"] * kept]
    for token in store.tokens():
        store.read(token)
    assert dataset.depth("d") == 0
    assert dataset.depth("whole") == 0
    assert objects(store) == objects(dataset.store("whole"))
