"""The converter given damaged or missing data: it names it, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from gfocc_core.data.scenes import open_nuscenes
from gfocc_ros.bags.conversion import convert_scene
from gfocc_ros.nuscenes_to_rosbag import main
from tests.nuscenes_fixture import SCENES, NuscenesFixture, write_nuscenes
from tests.ros.conversion_command import arguments, error_line

STORAGES = ("mcap", "sqlite3")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> NuscenesFixture:
    return write_nuscenes(tmp_path_factory.mktemp("nuscenes"))


@pytest.fixture
def damaged(tmp_path: Path) -> NuscenesFixture:
    """A dataset of one scene to be damaged."""
    return write_nuscenes(tmp_path / "nuscenes", scenes=SCENES[:1])


def last_image(dataset: NuscenesFixture) -> Path:
    """The image that a conversion reads last."""
    return max(dataset.root.glob("samples/CAM_BACK/*.jpg"))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-300])


def replace_by_png(path: Path) -> None:
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))


def replace_by_other_size(path: Path) -> None:
    Image.new("RGB", (30, 20)).save(path, "JPEG")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (Path.unlink, "are missing (cameras: 1 of keyframes)"),
        (cut, "is corrupt"),
        (replace_by_png, "is corrupt: not a JPEG"),
        (lambda path: path.write_bytes(b""), "is corrupt: not a JPEG"),
        (replace_by_other_size, "is 30x20, but sample_data says 64x36"),
    ],
    ids=["missing", "truncated", "other-format", "empty", "other-size"],
)
@pytest.mark.parametrize("storage", STORAGES)
def test_damaged_image_is_named_and_leaves_nothing_behind(
    damaged: NuscenesFixture,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path], object],
    said: str,
    storage: str,
) -> None:
    path = last_image(damaged)
    damage(path)
    (tmp_path / "out").mkdir()
    assert main(arguments(damaged, tmp_path / "out" / "bag", "--storage", storage)) == 2
    line = error_line(capsys)
    assert str(path) in line
    assert said in line
    assert list((tmp_path / "out").iterdir()) == []


def test_ctrl_c_leaves_nothing_behind(
    damaged: NuscenesFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nusc = open_nuscenes(damaged.root, damaged.version)
    (tmp_path / "out").mkdir()
    seen = []

    def interrupt(done: int, total: int) -> None:
        seen.append(list((tmp_path / "out").iterdir()))
        if done == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert_scene(nusc, SCENES[0], tmp_path / "out" / "bag", on_progress=interrupt)
    assert all(len(entries) == 1 for entries in seen)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], f"--scene is needed, since the dataset has 2 scenes: {', '.join(SCENES)}"),
        (["--scene", "scene-9"], "scene 'scene-9'"),
        (["--scene", ""], "scene ''"),
        (["--version", "v9"], "version 'v9'"),
        (["--dataroot", "/nowhere/at/all"], "dataroot '/nowhere/at/all'"),
    ],
)
def test_bad_argument_is_one_line_and_exit_code_2(
    dataset: NuscenesFixture,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    said: str,
) -> None:
    assert main(arguments(dataset, tmp_path / "bag", *more)) == 2
    assert said in error_line(capsys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--cameras", "CAM_UP"], "no camera 'CAM_UP'; it has: CAM_BACK, CAM_BACK_LEFT"),
        (["--topics", "radar"], f"scene '{SCENES[0]}' has no radar"),
        (["--topics", "annotations"], f"scene '{SCENES[0]}' has no annotations"),
        (["--topics", "occupancy"], f"scene '{SCENES[0]}' has no occupancy: '"),
        (["--topics", "lidar", "--cameras", "CAM_BACK"], "topics leaves them out"),
        (["--topics", "lidar", "--annotation-text"], "topics leaves annotations out"),
    ],
)
def test_choice_of_what_is_not_there_is_refused(
    damaged: NuscenesFixture,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    said: str,
) -> None:
    assert main(arguments(damaged, tmp_path / "bag", *more)) == 2
    assert said in error_line(capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["nuscenes"]


@pytest.mark.parametrize(
    "more",
    [["--storage", "tape"], ["--colour"], ["--topics", "sonar"], ["--jobs", "0"]],
)
def test_unknown_option_is_one_line_and_exit_code_2(
    dataset: NuscenesFixture, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments(dataset, tmp_path / "bag", *more))
    assert caught.value.code == 2
    assert more[-1] in error_line(capsys)


def test_existing_bag_is_not_touched(
    dataset: NuscenesFixture, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bag"
    out.mkdir()
    assert main(arguments(dataset, out, "--scene", SCENES[0])) == 2
    assert f"--out '{out}' exists already" in error_line(capsys)
    assert list(out.iterdir()) == []


def test_parent_that_is_a_file_is_named(
    dataset: NuscenesFixture, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "bag"
    assert main(arguments(dataset, out, "--scene", SCENES[0])) == 2
    assert f"'{tmp_path / 'file'}' is not a folder" in error_line(capsys)
