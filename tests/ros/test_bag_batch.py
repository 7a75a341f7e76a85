"""Several scenes at once: a bag each, repeated runs go on, failures leave nothing half-written."""

from __future__ import annotations

import multiprocessing
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from rosbags.highlevel import AnyReader

from gfocc_core.data.scenes import open_nuscenes
from gfocc_ros.bags.batch import Failed, News, SceneBatch, Written
from gfocc_ros.bags.content import BagContent
from gfocc_ros.bags.conversion import convert_scene
from gfocc_ros.bags.file import StorageError
from gfocc_ros.nuscenes_to_rosbag import main
from tests.nuscenes_fixture import NuscenesFixture, write_nuscenes

ROOT = Path(__file__).resolve().parents[2]
SCENES = ("scene-0001", "scene-0002", "scene-0003")
LIMIT_S = 180.0


@pytest.fixture
def dataset(tmp_path: Path) -> NuscenesFixture:
    return write_nuscenes(tmp_path / "nuscenes", SCENES)


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> NuscenesFixture:
    """Scenes that take long enough to be disturbed."""
    root = tmp_path_factory.mktemp("slow")
    return write_nuscenes(root, SCENES[:2], keyframes=250, sweeps=0, keyframe_s=0.1)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "bags"


def arguments(dataset: NuscenesFixture, out: Path, *more: str) -> list[str]:
    words = ["--dataroot", str(dataset.root), "--version", dataset.version, "--out", str(out)]
    return [*words, *more]


def start(*words: str) -> subprocess.Popen[str]:
    """The command as a terminal starts it: tests in the background inherit an ignored SIGINT."""
    return subprocess.Popen(
        [sys.executable, "-m", "gfocc_ros.nuscenes_to_rosbag", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def num_messages(bag: Path) -> int:
    with AnyReader([bag]) as reader:
        return len(list(reader.messages()))


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def identity(bag: Path) -> list[tuple[str, int, int]]:
    """What shows whether a bag was written anew."""
    stats = [(path.name, path.stat()) for path in sorted(bag.iterdir())]
    return [(name, stat.st_ino, stat.st_mtime_ns) for name, stat in stats]


def last_image(dataset: NuscenesFixture, scene: str) -> Path:
    return max(dataset.root.glob(f"samples/CAM_BACK/{scene}-*.jpg"))


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("jobs", ["1", "2", "8"])
def test_every_scene_becomes_the_bag_it_becomes_alone(
    dataset: NuscenesFixture,
    out: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    jobs: str,
) -> None:
    assert main(arguments(dataset, out, "--scenes", "all", "--jobs", jobs)) == 0
    assert "wrote 3 bags" in capsys.readouterr().out
    assert entries(out) == list(SCENES)
    nusc = open_nuscenes(dataset.root, dataset.version)
    for scene in SCENES:
        alone = tmp_path / jobs / scene
        convert_scene(nusc, scene, alone)
        for path in alone.iterdir():
            assert (out / scene / path.name).read_bytes() == path.read_bytes()


def test_finished_bags_stay_and_the_missing_are_written(
    dataset: NuscenesFixture, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(dataset, out, "--scenes", SCENES[1])) == 0
    before = identity(out / SCENES[1])
    capsys.readouterr()
    assert main(arguments(dataset, out, "--scenes", "all")) == 0
    assert "wrote 2 bags" in (said := capsys.readouterr().out)
    assert "1 were there before" in said
    assert identity(out / SCENES[1]) == before
    assert main(arguments(dataset, out, "--scenes", "all")) == 0
    assert "wrote 0 bags" in capsys.readouterr().out


@pytest.mark.parametrize("change", ["options", "storage", "dataset", "foreign", "half"])
def test_what_is_not_that_bag_is_refused_before_anything_is_written(
    dataset: NuscenesFixture,
    out: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: str,
) -> None:
    more: list[str] = []
    assert main(arguments(dataset, out, "--scenes", SCENES[1])) == 0
    if change == "options":
        more = ["--keyframes-only"]
    elif change == "storage":
        more = ["--storage", "sqlite3"]
    elif change == "dataset":
        dataset = write_nuscenes(tmp_path / "other", SCENES, keyframes=4)
    elif change == "foreign":
        for path in (out / SCENES[1]).iterdir():
            path.unlink()
    else:
        (out / SCENES[1] / f"{SCENES[1]}.mcap").unlink()
    capsys.readouterr()
    assert main(arguments(dataset, out, "--scenes", *SCENES, *more)) == 2
    captured = capsys.readouterr()
    assert f"'{out / SCENES[1]}' exists already and is not" in captured.err
    assert captured.err.count("\n") == 1
    assert entries(out) == [SCENES[1]]


def test_scene_that_fails_is_named_and_the_others_are_written(
    dataset: NuscenesFixture, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = last_image(dataset, SCENES[1])
    path.write_bytes(path.read_bytes()[:-300])
    assert main(arguments(dataset, out, "--scenes", "all", "--jobs", "2")) == 2
    captured = capsys.readouterr()
    assert f"scene '{SCENES[1]}' not converted: image '{path}' is corrupt" in captured.err
    assert "Traceback" not in captured.err
    assert "wrote 2 bags" in captured.out
    assert "1 are missing" in captured.out
    assert entries(out) == [SCENES[0], SCENES[2]]


@pytest.mark.parametrize("which", [["--scene", SCENES[0]], ["--scenes", "all"]])
def test_terminal_shows_bars_and_a_log_file_does_not(
    dataset: NuscenesFixture, out: Path, which: list[str]
) -> None:
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "gfocc_ros.nuscenes_to_rosbag"]
    words = arguments(dataset, out, *which)
    done = subprocess.run([*command, *words], cwd=ROOT, stderr=terminal, timeout=LIMIT_S)
    os.close(terminal)
    shown = b""
    with suppress(OSError):  # How the end of a terminal's output shows.
        while chunk := os.read(controller, 65536):
            shown += chunk
    os.close(controller)
    assert done.returncode == 0
    assert f"{SCENES[0]}: files".encode() in shown
    assert (b"scenes" in shown) == (which[0] == "--scenes")
    log = start(*arguments(dataset, out / "again", *which)).communicate(timeout=LIMIT_S)[1]
    assert log == ""


def test_unknown_scene_is_named_before_anything_is_written(
    dataset: NuscenesFixture, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(dataset, out, "--scenes", SCENES[0], "scene-9")) == 2
    assert "scene 'scene-9' is not in" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_all_processes_and_leaves_finished_bags_only(
    dataset: NuscenesFixture, slow: NuscenesFixture, out: Path, number: signal.Signals
) -> None:
    assert main(arguments(dataset, out, "--scenes", SCENES[2])) == 0
    process = start(*arguments(slow, out, "--scenes", *SCENES[:2], "--jobs", "2"))
    wait_until(lambda: len(list(out.glob(".*.partial/*/*.mcap"))) == 2)
    process.send_signal(number)
    _, err = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, err) == (
        130,
        "nuscenes_to_rosbag: interrupted, nothing unfinished left behind\n",
    )
    assert entries(out) == [SCENES[2]]


def test_what_a_killed_process_left_is_removed_by_the_next(
    dataset: NuscenesFixture, slow: NuscenesFixture, out: Path
) -> None:
    out.mkdir()
    process = start(*arguments(slow, out / "bag", "--scene", SCENES[0]))
    wait_until(lambda: bool(list(out.glob(".bag-*.partial/bag/*.mcap"))))
    process.kill()
    process.communicate()
    assert len(entries(out)) == 1
    nusc = open_nuscenes(dataset.root, dataset.version)
    convert_scene(nusc, SCENES[0], out / "bag")
    assert entries(out) == ["bag"]
    assert num_messages(out / "bag")


def test_processes_of_a_killed_command_end_and_clean_up(slow: NuscenesFixture, out: Path) -> None:
    out.mkdir()
    process = start(*arguments(slow, out, "--scenes", *SCENES[:2], "--jobs", "2"))
    wait_until(lambda: len(list(out.glob(".*.partial/*/*.mcap"))) == 2)
    process.kill()
    process.communicate(timeout=LIMIT_S)  # Ends when the last of them has closed stderr.
    assert entries(out) == []


def test_unfinished_bag_of_a_process_that_lives_is_left_alone(
    dataset: NuscenesFixture, out: Path
) -> None:
    nusc = open_nuscenes(dataset.root, dataset.version)
    out.mkdir()

    def convert_the_same_meanwhile(done: int, total: int) -> None:
        if done == 3:
            context = multiprocessing.get_context("fork")
            other = context.Process(target=convert_scene, args=(nusc, SCENES[0], out / "bag"))
            other.start()
            other.join(LIMIT_S)
            assert other.exitcode == 0

    with pytest.raises(ValueError, match="exists already"):
        convert_scene(nusc, SCENES[0], out / "bag", on_progress=convert_the_same_meanwhile)
    assert entries(out) == ["bag"]
    assert num_messages(out / "bag")


_WITH_LITTLE_SPACE = """
import resource, sys
from gfocc_ros.nuscenes_to_rosbag import main
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("scenes", ["one", "several"])
def test_full_disk_is_one_line_and_leaves_nothing(
    dataset: NuscenesFixture, out: Path, storage: str, scenes: str
) -> None:
    """The limit on a file's size fails a write as a full disk does: midway and for good."""
    which = ["--scene", SCENES[0]] if scenes == "one" else ["--scenes", "all", "--jobs", "1"]
    words = arguments(dataset, out, *which, "--storage", storage)
    done = subprocess.run(
        [sys.executable, "-c", _WITH_LITTLE_SPACE, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    assert str(out) in done.stderr
    assert entries(out) == []
    assert entries(out.parent) == ["nuscenes"]


def test_full_disk_ends_the_batch(
    dataset: NuscenesFixture, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(*arguments: object) -> None:
        raise StorageError("no space for it")

    monkeypatch.setattr("gfocc_ros.bags.batch.convert_scene", no_space)
    nusc = open_nuscenes(dataset.root, dataset.version)
    batch = SceneBatch(nusc, SCENES, out, "mcap", BagContent())
    news: list[tuple[str, News | None]] = []
    report = batch.convert(1, lambda scene, item: news.append((scene, item)))
    assert report.failed == {SCENES[0]: "no space for it"}
    assert [scene for scene, item in news if isinstance(item, Failed)] == [SCENES[0]]


def test_process_that_dies_is_a_failure_of_its_scene(
    dataset: NuscenesFixture, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(nusc: object, scene: str, *arguments: object) -> dict[str, int]:
        if scene == SCENES[1]:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"/topic": 7}

    monkeypatch.setattr("gfocc_ros.bags.batch.convert_scene", die)
    nusc = open_nuscenes(dataset.root, dataset.version)
    batch = SceneBatch(nusc, SCENES, out, "mcap", BagContent())
    seen: dict[str, News] = {}
    report = batch.convert(2, lambda scene, item: seen.update({scene: item} if item else {}))
    assert report.failed == {SCENES[1]: "its process ended with exit code -9"}
    assert report.written == {SCENES[0]: 7, SCENES[2]: 7}
    assert seen[SCENES[0]] == Written(7)
