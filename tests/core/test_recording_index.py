"""Recordings of a robot of one's own as an index: keyframes, poses, splits, and what is left out."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from gfocc_core.config import ImageConfig
from gfocc_core.data.augmentation import NO_AUGMENTATION
from gfocc_core.data.index import SceneIndex
from gfocc_core.data.label_store import LabelStore
from gfocc_core.data.recording_cli import main
from gfocc_core.data.scenes import DatasetError
from gfocc_core.data.training_dataset import WEAK_VOCABULARY, TrainingDataset
from gfocc_core.data.weak_labels import LabelGeometry, StoreHeader
from gfocc_core.geometry import transform_from
from tests.core.recording_fixture import (
    CAMERAS,
    HEIGHT,
    START_NS,
    WIDTH,
    Drive,
    cameras,
    pose_at,
    stamps,
    steady,
    write_recording,
)
from tests.core.weak_label_fixture import random_labels

ROOT = Path(__file__).parents[2]


def index_of(folder: Path, *options: str) -> SceneIndex:
    """Index the recordings of a folder by the command."""
    out = folder.parent / "index"
    assert main(["--dataroot", str(folder), "--out", str(out), *options]) == 0
    return SceneIndex.load(out, folder)


def matrix(pose: np.ndarray) -> torch.Tensor:
    row = torch.from_numpy(pose).reshape(7)
    return transform_from(row[:3], row[3:])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def test_keyframes_have_the_pose_of_every_image_at_its_own_stamp(data: Path) -> None:
    write_recording(data / "drive")
    index = index_of(data)
    assert index.cameras == CAMERAS
    assert index.scenes == ("drive",)
    assert len(index) == 6
    for number in range(len(index)):
        keyframe, seconds = index.keyframe(number), 0.5 * number
        assert keyframe.token == f"drive-{stamps(seconds)}"
        assert keyframe.stamp_ns == int(stamps(seconds)) // 1000 * 1000
        assert keyframe.lidar_file is None
        assert keyframe.ego_from_lidar is None
        torch.testing.assert_close(
            keyframe.global_from_ego, matrix(pose_at(seconds)), atol=1e-6, rtol=0
        )
        for camera, name in enumerate(CAMERAS):
            stamp = int(stamps(seconds + 0.01 * camera))
            assert keyframe.camera_files[camera] == str(
                data / "drive" / "images" / name / f"{stamp}.jpg"
            )
            assert keyframe.camera_stamps_ns[camera] == stamp // 1000 * 1000
            assert keyframe.image_sizes[camera] == (HEIGHT, WIDTH)
            torch.testing.assert_close(
                keyframe.cameras.global_from_ego_at_cam[camera],
                matrix(pose_at(seconds + 0.01 * camera)),
                atol=1e-6,
                rtol=0,
            )
            described = cameras()[camera]
            torch.testing.assert_close(
                keyframe.cameras.intrinsics[camera], torch.from_numpy(described.matrix)
            )
            torch.testing.assert_close(
                keyframe.cameras.ego_at_cam_from_cam[camera], matrix(described.pose)
            )


def test_a_keyframe_that_lacks_a_camera_stays_without_it(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drive = steady()
    late = np.asarray(drive.images["left"]) + 0.045  # no image within 60 ms around 1.0 s
    times = [t for t in late if not 0.9 < t < 1.15]
    write_recording(data / "drive", replace(drive, images={**drive.images, "left": times}))
    index = index_of(data)
    assert index.cameras_at(range(6)).valid[:, 1].tolist() == [True, True, False, True, True, True]
    assert index.image_file(2, 1) is None
    assert index.image_sizes[2, 1].tolist() == [0, 0]
    assert "keyframes without left: 1" in capsys.readouterr().out


def test_images_without_a_pose_are_left_out_and_counted(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drive = steady(4.0)
    poses = [t for t in np.arange(1.0, 3.0, 0.05).round(2) if not 1.6 < t < 2.4]
    write_recording(data / "drive", replace(drive, poses=poses))
    index = index_of(data)
    found = [int(token.rsplit("-", 1)[1]) - START_NS for token in index.tokens]
    assert found == [1_000_000_000, 1_500_000_000, 2_400_000_000, 2_900_000_000]
    assert index.scenes == ("drive-1", "drive-2")
    told = capsys.readouterr().out
    outside, gap = 4 * (10 + 10), 7 + 3 * 8  # front's image at 1.6 s has a pose
    assert f"skipped images: {outside} before the first pose or after the last" in told
    assert f"skipped images: {gap} in a gap of the poses" in told


def test_a_pause_makes_two_scenes_of_a_recording(data: Path) -> None:
    times = np.r_[np.arange(0, 1.5, 0.1), np.arange(4, 5.1, 0.1)]
    drive = Drive(dict.fromkeys(CAMERAS, times), np.arange(-0.1, 6, 0.05))
    write_recording(data / "drive", drive)
    write_recording(data / "other")
    index = index_of(data, "--val", "drive")
    assert index.scenes == ("drive-1", "drive-2", "other")
    assert index.splits == {"train": ("other",), "val": ("drive-1", "drive-2")}
    assert [len(index.positions_of_scene(scene)) for scene in index.scenes] == [3, 3, 6]


def test_rate_slop_and_reference_camera_can_be_chosen(data: Path) -> None:
    write_recording(data / "drive")
    index = index_of(data, "--rate", "5", "--slop", "0.015", "--reference-camera", "back")
    assert len(index) == 15
    assert index.tokens[0] == f"drive-{stamps(0.02)}"
    assert index.cameras_at([0]).valid.tolist() == [[False, True, True, True]]


def test_named_recordings_are_indexed_alone_and_all_of_them_train_without_val(data: Path) -> None:
    for name in ("a", "b", "c"):
        write_recording(data / name)
    index = index_of(data, "--recordings", "c", "a")
    assert index.scenes == ("c", "a")
    assert index.splits == {"train": ("c", "a")}


def test_an_index_is_refused_once_calibration_or_poses_have_changed(data: Path) -> None:
    write_recording(data / "drive")
    index_of(data)
    path = data / "drive" / "poses.csv"
    text = path.read_text()
    path.write_text(text.replace("0.1", "0.2", 1))
    with pytest.raises(DatasetError, match=r"drive/poses\.csv has .*index_recording\.py"):
        SceneIndex.load(data.parent / "index", data)
    path.write_text(text)
    SceneIndex.load(data.parent / "index", data)
    path.unlink()
    with pytest.raises(DatasetError, match=r"drive/poses\.csv is gone"):
        SceneIndex.load(data.parent / "index", data)


def test_a_training_item_shows_the_four_cameras_and_their_labels(data: Path) -> None:
    write_recording(data / "drive")
    index = index_of(data)
    image = ImageConfig(height=12, width=16)
    geometry = LabelGeometry.covering(dict.fromkeys(CAMERAS, (HEIGHT, WIDTH)), image)
    header = StoreHeader({"semantics": "s", "depth": "d"}, WEAK_VOCABULARY, geometry)
    store = LabelStore.create(data.parent / "labels", header)
    for number, token in enumerate(index.tokens):
        store.write(token, random_labels(header, number))
    scenes = index.scenes_of_split("train")
    clips = TrainingDataset(index, store, scenes, image, NO_AUGMENTATION, history=1, renders=2)
    item = clips[3]
    assert item["images"].shape == (2, 4, 3, 12, 16)
    assert item["camera_valid"].all()
    # in the vehicle's frame at 1.5 s the back camera stands where it was mounted, 20 ms later
    moved = torch.linalg.inv(matrix(pose_at(1.5))) @ matrix(pose_at(1.52))
    expected = moved @ matrix(cameras()[2].pose)
    torch.testing.assert_close(item["ego_from_cam"][1, 2], expected.float(), atol=1e-5, rtol=0)


def damaged(name: str) -> Callable[[Path], None]:
    """How a recording is spoilt."""

    def other_name(folder: Path) -> None:
        (folder / "images" / "front" / "first.jpg").touch()

    def same_stamp(folder: Path) -> None:
        (folder / "images" / "front" / f"{START_NS}.png").touch()

    def not_an_image(folder: Path) -> None:
        (folder / "images" / "front" / f"{START_NS}.jpg").write_bytes(b"nothing")

    def other_size(folder: Path) -> None:
        calibration = folder / "calibration.yaml"
        content = yaml.safe_load(calibration.read_text())
        content["cameras"][1]["width"] = WIDTH + 1
        calibration.write_text(yaml.safe_dump(content))

    def no_images(folder: Path) -> None:
        (folder / "images" / "back").rename(folder / "images" / "rear")

    return locals()[name]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("other_name", "front/first.jpg' must be called by its stamp"),
        ("same_stamp", f"{START_NS}.png' have the same stamp"),
        ("not_an_image", f"front/{START_NS}.jpg' is neither a JPEG nor a PNG"),
        ("other_size", f"is {WIDTH}x{HEIGHT}, but calibration.yaml says {WIDTH + 1}x{HEIGHT}"),
        ("no_images", "images/back' is missing: images of camera 'back'"),
    ],
)
def test_what_cannot_be_used_is_named_and_nothing_is_written(
    how: str, message: str, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged(how)(write_recording(data / "drive"))
    out = data.parent / "index"
    assert main(["--dataroot", str(data), "--out", str(out)]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--val", "none"], "val names 'none', which is not among the recordings"),
        (["--recordings", "none"], "recording 'none' is not in dataroot"),
        (["--reference-camera", "top"], "reference camera 'top' is not one of front, left"),
        (["--rate", "40", "--slop", "0"], "gives no two keyframes 0.025 s apart"),
        (["--slop", "1"], "slop_s must be at least 0 and below"),
        (["--rate", "fast"], "argument --rate"),
    ],
)
def test_options_that_cannot_be_are_named_in_one_line(
    options: list[str], message: str, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_recording(data / "drive")
    try:
        code = main(["--dataroot", str(data), "--out", str(data.parent / "index"), *options])
    except SystemExit as ended:
        code = int(ended.code or 0)
    told = capsys.readouterr().err
    assert code == 2
    assert message in told
    assert told.count("\n") == 1


def test_recordings_of_different_cameras_are_not_indexed_together(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_recording(data / "a")
    drive = steady()
    three = {name: drive.images[name] for name in CAMERAS[:3]}
    write_recording(data / "b", replace(drive, images=three))
    assert main(["--dataroot", str(data), "--out", str(data.parent / "index")]) == 2
    assert "b/calibration.yaml' has cameras front 32x24" in capsys.readouterr().err


def test_two_scenes_of_one_name_are_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    times = np.r_[np.arange(0, 1.5, 0.1), np.arange(4, 5.1, 0.1)]
    paused = Drive(dict.fromkeys(CAMERAS, times), np.arange(-0.1, 6, 0.05))
    write_recording(data / "drive", paused)
    write_recording(data / "drive-2")
    assert main(["--dataroot", str(data), "--out", str(data.parent / "index")]) == 2
    assert "two scenes would be called 'drive-2'" in capsys.readouterr().err


def test_the_script_is_the_command(data: Path) -> None:
    write_recording(data / "drive")
    command = [sys.executable, str(ROOT / "training" / "index_recording.py")]
    command += ["--dataroot", str(data), "--out", str(data.parent / "index")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "6 keyframes of 1 scenes (train 1), 4 cameras" in done.stdout
