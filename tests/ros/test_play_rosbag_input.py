"""What the player cannot play is one line and exit code 2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from rosbags.rosbag2 import StoragePlugin, Writer

from gfocc_ros.play_rosbag import main
from tests.ros.played_bags import Bag, convert_drive

pytestmark = pytest.mark.ros


@pytest.fixture(scope="module")
def bags(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bag]:
    return convert_drive(tmp_path_factory.mktemp("bags"))


@pytest.fixture
def bag(bags: dict[str, Bag]) -> Bag:
    return bags["mcap"]


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    """What a command wrote on stderr, which must be one line."""
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1, captured.err
    return captured.err


def nothing(path: Path) -> None:
    """Leave no bag there."""


def text_file(path: Path) -> None:
    path.write_text("hello")


def broken_mcap(path: Path) -> None:
    path.mkdir()
    (path / "metadata.yaml").write_text("rosbag2_bagfile_information: {version: 5}")


def broken_yaml(path: Path) -> None:
    path.mkdir()
    (path / "metadata.yaml").write_text("{{{")


def empty_bag(path: Path) -> None:
    with Writer(path, version=8, storage_plugin=StoragePlugin.MCAP):
        pass


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (nothing, "does not exist"),
        (Path.mkdir, "is not a bag that can be read"),
        (text_file, "is not a bag that can be read"),
        (broken_mcap, "is not a bag that can be read"),
        (broken_yaml, "is not a bag that can be read"),
        (empty_bag, "holds no message"),
    ],
)
def test_what_is_no_bag_is_one_line_and_exit_code_2(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    make: Callable[[Path], None],
    said: str,
) -> None:
    path = tmp_path / "bag"
    make(path)
    assert main([str(path)]) == 2
    line = error_line(capsys)
    assert said in line
    assert str(path) in line


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_damaged_bag_is_one_line_and_exit_code_2(
    bags: dict[str, Bag], tmp_path: Path, capsys: pytest.CaptureFixture[str], storage: str
) -> None:
    path = tmp_path / "bag"
    path.mkdir()
    for source in bags[storage].path.iterdir():
        whole = source.read_bytes()
        cut = whole if source.suffix == ".yaml" else whole[: len(whole) // 2]
        (path / source.name).write_bytes(cut)
    assert main([str(path), "--wait", "0", "--rate", "1000"]) == 2
    captured = capsys.readouterr()
    assert captured.err.splitlines()[-1].startswith("play_rosbag: error: ")
    assert "Traceback" not in captured.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rate", "0"], "--rate must be a positive number, got 0.0"),
        (["--rate", "-1"], "--rate must be a positive number, got -1.0"),
        (["--rate", "nan"], "--rate must be a positive number, got nan"),
        (["--rate", "inf"], "--rate must be a positive number, got inf"),
        (["--rate", "fast"], "--rate: invalid float value: 'fast'"),
        (["--wait", "-1"], "--wait must be 0 or more seconds, got -1.0"),
        (["--backwards"], "--backwards"),
    ],
)
def test_bad_argument_is_one_line_and_exit_code_2(
    bag: Bag, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([str(bag.path), *words])
    assert caught.value.code == 2
    assert said in error_line(capsys)
