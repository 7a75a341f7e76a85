"""A set of messages becomes a frame; what cannot be used is masked and counted by its reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
import torch

from gfocc_ros.camera_stream import StampedImage
from gfocc_ros.drops import Drop, DropCounters
from gfocc_ros.frame_assembler import ImageSet
from gfocc_ros.frame_builder import FrameBuilder, ImageMessage
from tests.ros.camera_messages import (
    HEIGHT,
    WIDTH,
    camera_info,
    compressed_image,
    jpeg,
    picture,
    raw_image,
)
from tests.ros.known_poses import KnownPoses, pose

CAMERAS = ("left", "front", "right")
STAMP_NS = 5_000_000_000


class Bench:
    def __init__(self, min_cameras: int = 1) -> None:
        self.poses = KnownPoses()
        self.drops = DropCounters()
        self.builder = FrameBuilder(CAMERAS, min_cameras, self.poses, self.drops)
        self.images: dict[str, ImageMessage] = {
            camera: compressed_image(camera, STAMP_NS + offset)
            for offset, camera in zip((-8_000_000, 0, 8_000_000), CAMERAS, strict=True)
        }
        self.infos = {camera: camera_info(camera, STAMP_NS) for camera in CAMERAS}

    def build(self):  # type: ignore[no-untyped-def]
        images = {
            camera: StampedImage(
                message.header.stamp.sec * 10**9 + message.header.stamp.nanosec, 0.0, message
            )
            for camera, message in self.images.items()
        }
        return self.builder.build(ImageSet(STAMP_NS, 0.0, images, epoch=0), self.infos)

    def counted(self) -> Mapping[Drop, int]:
        return self.drops.totals()


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.builder.close()


def test_frame_holds_images_calibration_and_poses_in_the_order_of_the_cameras(bench: Bench) -> None:
    bench.images["front"] = raw_image("front", STAMP_NS)
    bench.images = dict(reversed(bench.images.items()))
    frame = bench.build()
    assert frame.rig.names == CAMERAS
    assert frame.valid == (True, True, True)
    assert frame.stamp_ns == STAMP_NS
    assert frame.rig.image_sizes == ((HEIGHT, WIDTH),) * 3
    assert torch.equal(frame.images[1], torch.from_numpy(picture()))
    torch.testing.assert_close(frame.global_from_ego, pose(100.0))
    lengths = [float(len(f"{camera}_optical_frame")) for camera in CAMERAS]
    assert frame.rig.ego_from_cam[:, 0, 3].tolist() == lengths
    assert frame.rig.intrinsics[:, 0, 0].tolist() == [40.0] * 3
    assert not bench.counted()


def test_camera_pose_is_asked_at_the_images_own_stamp(bench: Bench) -> None:
    bench.build()
    assert ("left_optical_frame", STAMP_NS - 8_000_000, STAMP_NS) in bench.poses.asked
    assert ("right_optical_frame", STAMP_NS + 8_000_000, STAMP_NS) in bench.poses.asked


def zero_focal(bench: Bench) -> None:
    bench.infos["left"] = camera_info("left", STAMP_NS, focal=0.0)


def other_size(bench: Bench) -> None:
    bench.infos["left"] = camera_info("left", STAMP_NS, size=(1600, 900))


def no_info(bench: Bench) -> None:
    del bench.infos["left"]


def garbage(bench: Bench) -> None:
    bench.images["left"] = compressed_image("left", STAMP_NS, b"\xff\xd8 no picture")


def half_jpeg(bench: Bench) -> None:
    bench.images["left"] = compressed_image("left", STAMP_NS, jpeg()[: len(jpeg()) // 2])


def empty(bench: Bench) -> None:
    bench.images["left"] = compressed_image("left", STAMP_NS, b"")


def bomb(bench: Bench) -> None:
    header = (
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + 2 * b"\x00\x00\xff\xff" + b"\x08\x02\x00\x00\x00"
    )
    bench.images["left"] = compressed_image("left", STAMP_NS, header + 4 * b"\x00")


def foreign_encoding(bench: Bench) -> None:
    image = raw_image("left", STAMP_NS)
    image.encoding = "32FC1"
    bench.images["left"] = image


def no_camera_tf(bench: Bench) -> None:
    bench.poses.missing.add("left_optical_frame")


def nameless(bench: Bench) -> None:
    bench.images["left"].header.frame_id = ""
    bench.infos["left"].header.frame_id = ""


@pytest.mark.parametrize(
    ("break_left", "reason", "told"),
    [
        (zero_focal, Drop.BAD_CAMERA_INFO, "fx=0.0"),
        (other_size, Drop.SIZE_MISMATCH, "image is 80x48, its CameraInfo says 1600x900"),
        (no_info, Drop.NO_CAMERA_INFO, "no CameraInfo"),
        (garbage, Drop.UNDECODABLE_IMAGE, "13 bytes"),
        (half_jpeg, Drop.UNDECODABLE_IMAGE, "cannot decode"),
        (empty, Drop.UNDECODABLE_IMAGE, "0 bytes"),
        (bomb, Drop.UNDECODABLE_IMAGE, ""),
        (foreign_encoding, Drop.UNDECODABLE_IMAGE, "32FC1"),
        (no_camera_tf, Drop.NO_CAMERA_POSE, "left_optical_frame"),
        (nameless, Drop.NO_CAMERA_POSE, "frame_id"),
    ],
)
def test_unusable_camera_is_masked_and_counted(  # type: ignore[no-untyped-def]
    bench: Bench, break_left, reason: Drop, told: str
) -> None:
    break_left(bench)
    frame = bench.build()
    assert frame.valid == (False, True, True)
    assert bench.counted() == {reason: 1}
    sentence = bench.drops.take_news()[reason]
    assert "left x1" in sentence
    assert told in sentence


def test_silent_camera_is_masked(bench: Bench) -> None:
    del bench.images["right"]
    assert bench.build().valid == (True, True, False)


def test_frame_id_of_the_camera_info_serves_images_without_one(bench: Bench) -> None:
    bench.images["left"].header.frame_id = ""
    assert bench.build().valid == (True, True, True)


def test_no_ego_pose_drops_the_frame_and_names_the_frames(bench: Bench) -> None:
    bench.poses.missing.add("odom")
    assert bench.build() is None
    assert bench.counted() == {Drop.NO_EGO_POSE: 1}
    assert "'base_link' in 'odom'" in bench.drops.take_news()[Drop.NO_EGO_POSE]


def test_too_few_usable_cameras_drop_the_frame() -> None:
    bench = Bench(min_cameras=3)
    garbage(bench)
    assert bench.build() is None
    assert bench.counted() == {Drop.UNDECODABLE_IMAGE: 1, Drop.TOO_FEW_CAMERAS: 1}
    bench.builder.close()


def test_no_usable_camera_at_all_drops_the_frame(bench: Bench) -> None:
    bench.infos.clear()
    assert bench.build() is None
    assert bench.counted()[Drop.TOO_FEW_CAMERAS] == 1
