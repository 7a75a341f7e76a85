"""A robot's bag as a recording: what is copied, what is looked up, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gfocc_core.data.index import SceneIndex
from gfocc_core.data.recording_calibration import read_calibration
from gfocc_core.data.recording_cli import main as index_recordings
from gfocc_core.data.recording_poses import read_poses
from gfocc_ros.bag_to_recording import main
from gfocc_ros.bags.command import BagError
from gfocc_ros.bags.messages import tf_message
from gfocc_ros.bags.recording_export import ExportOptions, export_recording
from tests.ros.robot_bag import (
    HEIGHT,
    LENS,
    MAST,
    OPTICAL,
    TIMES,
    WIDTH,
    P,
    RobotBag,
    at,
    camera_info,
    compressed,
    front_images,
    jpeg,
    link,
    robot,
)

FRONT = ExportOptions(("front",))


def export(bag: RobotBag, folder: Path, options: ExportOptions = FRONT) -> Path:
    """The recording of a bag called drive."""
    path = bag.write(folder / "bags" / "drive")
    export_recording(path, folder / "data", options, lambda done, total: None)
    return folder / "data" / "drive"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_jpegs_are_copied_byte_for_byte_under_the_stamp_of_their_header(
    storage: str, tmp_path: Path
) -> None:
    bag = robot().write(tmp_path / "drive", storage)
    report = export_recording(bag, tmp_path / "data", FRONT, lambda done, total: None)
    assert report is not None
    assert (report.images, report.poses, report.skipped) == ({"front": len(TIMES)}, 40, {})
    images = contents(tmp_path / "data" / "drive" / "images" / "front")
    assert images == {f"{at(t)}.jpg": jpeg(n) for n, t in enumerate(TIMES)}


def test_calibration_is_p_and_the_mount_that_tf_chains(tmp_path: Path) -> None:
    (camera,) = read_calibration(export(robot(), tmp_path) / "calibration.yaml")
    assert (camera.name, camera.image_size) == ("front", (HEIGHT, WIDTH))
    assert np.array_equal(camera.matrix, np.reshape(P, (3, 4))[:, :3])
    # the mast is turned by 180 degrees: what is ahead and left of it is behind and right
    np.testing.assert_allclose(camera.pose[:3], [0.5 - 0.1, -0.2, 1.3], atol=1e-12)
    x, y, z, w = OPTICAL
    turned = np.array([-z, -y, x, w])  # (0, 0, 1, 0) times OPTICAL, as w x y z
    assert min(np.abs(camera.pose[3:] - s * turned).max() for s in (1, -1)) < 1e-12


def test_poses_are_those_of_tf_at_its_own_rate(tmp_path: Path) -> None:
    path = read_poses(export(robot(), tmp_path))
    times = np.arange(0, 2.0, 0.05)
    assert path.stamps_ns.tolist() == [at(t) for t in times]
    np.testing.assert_allclose(path.poses[:, 0], 3 * times, atol=1e-12)
    assert np.array_equal(path.poses[:, 3:], np.tile([1.0, 0, 0, 0], (40, 1)))


def test_the_recording_can_be_indexed(tmp_path: Path) -> None:
    recording = export(robot(), tmp_path)
    index_file = tmp_path / "index"
    assert index_recordings(["--dataroot", str(recording.parent), "--out", str(index_file)]) == 0
    index = SceneIndex.load(index_file, recording.parent)
    assert index.tokens == tuple(f"drive-{at(t)}" for t in (0.0, 0.5, 1.0))
    np.testing.assert_allclose(index.global_from_ego[:, 0, 3], [0, 1.5, 3.0], atol=1e-6)


def test_cameras_keep_the_order_they_are_named_in_and_may_have_any_topic(tmp_path: Path) -> None:
    bag = robot()
    images = [(t, replace_frame(image, "lens")) for t, image in front_images()]
    bag.mount(link(0, "base_link", "lens", (0.0, 1.0, 0.0), OPTICAL))
    bag.camera("/sensors/cam7/image_rect_color/compressed", images, [camera_info(at(0))])
    names = ("side=/sensors/cam7/image_rect_color/compressed", "front")
    found = read_calibration(export(bag, tmp_path, ExportOptions(names)) / "calibration.yaml")
    assert [camera.name for camera in found] == ["side", "front"]
    assert found[0].pose[1] == 1.0


def replace_frame(image: Any, frame_id: str) -> Any:
    return replace(image, header=replace(image.header, frame_id=frame_id))


def test_images_of_no_use_are_left_out_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = robot()
    cut_off = compressed(at(1.6), "front_optical", jpeg(0)[:-400])
    small = compressed(at(1.65), "front_optical", b"\xff\xd8\xff nothing")
    again = compressed(at(TIMES[3]), "front_optical", jpeg(3))
    unstamped = replace_stamp(again)
    bag.camera(
        "/front/image_rect/compressed",
        [(1.6, cut_off), (1.7, small), (1.8, again), (1.9, unstamped)],
    )
    path = bag.write(tmp_path / "drive")
    assert main([str(path), "--out", str(tmp_path / "data"), "--cameras", "front"]) == 0
    told = capsys.readouterr().out
    assert f"wrote images of front {len(TIMES)}; 40 poses" in told
    assert "skipped 2 of front: cannot be used (cannot decode an image of" in told
    assert "skipped 1 of front: duplicated" in told
    assert "skipped 1 of front: without a stamp" in told


def replace_stamp(image: Any) -> Any:
    return replace(
        image, header=replace(image.header, stamp=replace(image.header.stamp, sec=0, nanosec=0))
    )


class Stopped(Exception):  # noqa: N818 (what a signal does)
    """In the middle of an export."""


def test_an_interrupted_export_goes_on_with_what_it_has(tmp_path: Path) -> None:
    bag = robot().write(tmp_path / "drive")
    data = tmp_path / "data"

    def stop(done: int, total: int) -> None:
        assert total == len(TIMES)
        if done == 6:
            raise Stopped

    with pytest.raises(Stopped):
        export_recording(bag, data, FRONT, stop)
    assert [path.name for path in data.iterdir()] == [".drive.partial"]
    kept = sorted((data / ".drive.partial" / "images" / "front").glob("*.jpg"))
    assert len(kept) == 6
    kept[0].write_bytes(b"as it was left")  # seen again: what is there is not written anew
    report = export_recording(bag, data, FRONT, lambda done, total: None)
    assert report is not None
    assert report.images == {"front": len(TIMES)}
    assert [path.name for path in data.iterdir()] == ["drive"]
    found = contents(data / "drive")
    export_recording(bag, tmp_path / "other", FRONT, lambda done, total: None)
    whole = contents(tmp_path / "other" / "drive")
    assert found.pop(f"images/front/{at(0)}.jpg") == b"as it was left"
    whole.pop(f"images/front/{at(0)}.jpg")
    assert found == whole


def test_what_was_begun_with_other_options_is_begun_anew(tmp_path: Path) -> None:
    bag = robot().write(tmp_path / "drive")

    def stop(done: int, total: int) -> None:
        if done:
            raise Stopped

    with pytest.raises(Stopped):
        export_recording(bag, tmp_path / "data", FRONT, stop)
    (left,) = (tmp_path / "data" / ".drive.partial" / "images" / "front").iterdir()
    left.write_bytes(b"of the other options")
    options = replace(FRONT, base_frame="mast")
    export_recording(bag, tmp_path / "data", options, lambda done, total: None)
    images = contents(tmp_path / "data" / "drive" / "images" / "front")
    assert images[left.name] == jpeg(0)


def test_a_finished_recording_stays_and_another_one_is_not_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = robot().write(tmp_path / "drive")
    command = [str(path), "--out", str(tmp_path / "data"), "--cameras", "front"]
    assert main(command) == 0
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "data").rglob("*")}
    assert main(command) == 0
    assert "its recording is there already" in capsys.readouterr().out
    assert main([*command, "--base-frame", "mast"]) == 2
    assert "is not overwritten" in capsys.readouterr().err
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "data").rglob("*")}


def test_one_bag_that_cannot_be_used_does_not_stop_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bags = [str(robot().without("/tf").write(tmp_path / "a")), str(robot().write(tmp_path / "b"))]
    assert main([*bags, "--out", str(tmp_path / "data"), "--cameras", "front"]) == 2
    assert "a' lacks /tf" in capsys.readouterr().err
    assert (tmp_path / "data" / "b" / "calibration.yaml").is_file()
    assert not (tmp_path / "data" / "a").exists()


def wobbling() -> RobotBag:
    """The mast turns against the vehicle, as a pan-tilt unit does."""
    bag = robot().without("/tf_static").mount(LENS)
    for seconds in TIMES:
        turned = (0.0, 0.0, np.sin(seconds), np.cos(seconds))
        bag.add(
            seconds, "/tf", tf_message([link(at(seconds), "base_link", "mast", (0, 0, 1), turned)])
        )
    return bag


def rigid_on_tf() -> RobotBag:
    """A mast that is sent on /tf again and again, as some robots do with what is fixed."""
    bag = robot().without("/tf_static").mount(LENS)
    for seconds in TIMES:
        bag.add(seconds, "/tf", tf_message([link(at(seconds), "base_link", "mast", (0, 0, 1))]))
    return bag


def test_a_mount_that_is_sent_again_and_again_is_one(tmp_path: Path) -> None:
    (camera,) = read_calibration(export(rigid_on_tf(), tmp_path) / "calibration.yaml")
    np.testing.assert_allclose(camera.pose[:3], [0.1, 0.2, 1.3], atol=1e-12)


def standing() -> RobotBag:
    return robot().without("/tf").mount(link(0, "odom", "base_link"))


def with_infos(*infos: Any) -> RobotBag:
    bag = RobotBag().drive().mount(MAST, LENS)
    return bag.camera("/front/image_rect/compressed", front_images(), infos)


@pytest.mark.parametrize(
    ("bag", "message"),
    [
        (robot().without("/tf_static"), "lacks /tf_static"),
        (
            robot().without("/front/camera_info"),
            "no sensor_msgs/CameraInfo on '/front/camera_info'",
        ),
        (
            robot().without("/front/image_rect/compressed"),
            "camera 'front' has no images on '/front/image_rect/compressed' or the like",
        ),
        (standing().without("none"), "lacks /tf"),
        (robot().without("/tf_static").mount(MAST), "frame 'front_optical' does not exist"),
        (robot().without("/tf_static").mount(LENS), "are not connected"),
        (wobbling(), "'front_optical' moves against 'base_link'"),
        (
            with_infos(camera_info(at(0)), camera_info(at(1), p=np.array(P) * 2)),
            "the calibration of camera 'front' changes",
        ),
        (with_infos(camera_info(at(0), k=np.zeros(9))), "camera 'front': CameraInfo needs focal"),
        (
            with_infos(camera_info(at(0), width=WIDTH + 2)),
            f"no image of use: it is {WIDTH}x{HEIGHT}, but CameraInfo says {WIDTH + 2}x{HEIGHT}",
        ),
    ],
)
def test_a_bag_that_lacks_or_contradicts_something_is_refused_by_name(
    bag: RobotBag, message: str, tmp_path: Path
) -> None:
    with pytest.raises(BagError) as caught:
        export(bag, tmp_path)
    assert message in str(caught.value)
    assert not (tmp_path / "data" / "drive").exists()


def test_a_bag_that_cannot_be_used_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(BagError):
        export(robot().without("/tf"), tmp_path)
    assert not (tmp_path / "data").exists()


def test_two_cameras_need_two_topics(tmp_path: Path) -> None:
    cameras = ("front", "nose=/front/image_rect/compressed")
    with pytest.raises(BagError, match="the same topic"):
        export(robot(), tmp_path, ExportOptions(cameras))


def test_images_of_one_camera_have_one_frame(tmp_path: Path) -> None:
    bag = robot()
    moved = compressed(at(1.9), "mast", jpeg(1))
    bag.camera("/front/image_rect/compressed", [(1.9, moved)])
    with pytest.raises(BagError, match="two frames, 'front_optical' and 'mast'"):
        export(bag, tmp_path)


def test_frames_that_tf_does_not_know_are_named(tmp_path: Path) -> None:
    with pytest.raises(BagError, match="frame 'world' does not exist"):
        export(robot(), tmp_path, replace(FRONT, fixed_frame="world"))


@pytest.mark.parametrize(
    ("cameras", "message"),
    [
        (("front", "front"), "cameras must be one or more names, each once"),
        ((), "cameras must be one or more names"),
    ],
)
def test_cameras_must_be_named_once(cameras: tuple[str, ...], message: str) -> None:
    with pytest.raises(BagError, match=message):
        ExportOptions(cameras)


@pytest.mark.parametrize("camera", ["../up", "a b", "=/topic"])
def test_a_cameras_name_must_be_one_of_a_folder(camera: str, tmp_path: Path) -> None:
    with pytest.raises(BagError, match="must be a name of letters"):
        export(robot(), tmp_path, ExportOptions((camera,)))


def test_the_command_needs_no_ros(tmp_path: Path) -> None:
    """Where no ROS is installed, as on the machine that trains."""
    path = robot().write(tmp_path / "drive")
    code = (
        "import sys\n"
        "for name in ('rclpy', 'sensor_msgs', 'tf2_msgs', 'geometry_msgs', 'std_msgs'):\n"
        "    sys.modules[name] = None\n"
        "from gfocc_ros.bag_to_recording import main\n"
        "sys.exit(main())\n"
    )
    words = [str(path), "--out", str(tmp_path / "data"), "--cameras", "front"]
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "data" / "drive" / "calibration.yaml").is_file()
