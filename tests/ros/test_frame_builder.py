"""A set of messages becomes a frame; what cannot be used is masked and counted by its reason."""

from __future__ import annotations

import io
import math
import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PilImage

from gfocc_ros.frames import image_decoders
from gfocc_ros.frames.camera_stream import StampedImage
from gfocc_ros.frames.drops import Drop, DropCounters
from gfocc_ros.frames.frame_assembler import ImageSet
from gfocc_ros.frames.frame_builder import FrameBuilder, ImageMessage
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
    def __init__(self, min_cameras: int = 1, **settings: Any) -> None:
        self.poses = KnownPoses()
        self.drops = DropCounters()
        self.builder = FrameBuilder(CAMERAS, min_cameras, self.poses, self.drops, **settings)
        self.images: dict[str, ImageMessage] = {
            camera: compressed_image(camera, STAMP_NS + offset)
            for offset, camera in zip((-8_000_000, 0, 8_000_000), CAMERAS, strict=True)
        }
        self.infos = {camera: camera_info(camera, STAMP_NS) for camera in CAMERAS}

    def build(self, stamp_ns: int = STAMP_NS, epoch: int = 0):  # type: ignore[no-untyped-def]
        images = {
            camera: StampedImage(
                message.header.stamp.sec * 10**9 + message.header.stamp.nanosec, 0.0, message
            )
            for camera, message in self.images.items()
        }
        frame = self.builder.build(ImageSet(stamp_ns, 0.0, images, epoch), self.infos)
        return None if frame is None else self.builder.confirm(frame)

    def counted(self) -> Mapping[Drop, int]:
        return self.drops.totals()


@pytest.fixture(params=["JPEGs by the host", "JPEGs by the device"])
def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A builder whose device is the CPU, which stands for a GPU in the second case."""
    by_device = request.param == "JPEGs by the device"
    monkeypatch.setattr(image_decoders, "decodes_jpegs", lambda device, count: by_device)
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


def depth_as_png(bench: Bench) -> None:
    stream = io.BytesIO()
    PilImage.fromarray(np.zeros((HEIGHT, WIDTH), np.uint16)).save(stream, "PNG")
    bench.images["left"] = compressed_image("left", STAMP_NS, stream.getvalue())


def broken_row(bench: Bench) -> None:
    bench.infos["left"].p[10] = 0.5


def cut_raw(bench: Bench) -> None:
    image = raw_image("left", STAMP_NS)
    image.data = bytes(image.data)[:-1]
    bench.images["left"] = image


def tf_of_nan(bench: Bench) -> None:
    bench.poses.nan.add("left_optical_frame")


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
        (depth_as_png, Drop.UNDECODABLE_IMAGE, "I;16"),
        (cut_raw, Drop.UNDECODABLE_IMAGE, "holds only"),
        (broken_row, Drop.BAD_CAMERA_INFO, "row 0 0 1"),
        (tf_of_nan, Drop.NO_CAMERA_POSE, "not finite"),
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


def test_vehicle_pose_of_nan_drops_the_frame(bench: Bench) -> None:
    bench.poses.nan.add("odom")
    assert bench.build() is None
    assert bench.counted() == {Drop.NO_EGO_POSE: 1}


def test_new_calibration_holds_for_images_taken_since(bench: Bench) -> None:
    """A camera zooms: of the frames that are formed afterwards some are of the time before."""
    bench.build()
    bench.infos["left"] = camera_info("left", STAMP_NS + 50_000_000, focal=80.0)
    assert bench.build().rig.intrinsics[0, 0, 0] == 40
    bench.images["left"] = compressed_image("left", STAMP_NS + 50_000_000)
    assert bench.build().rig.intrinsics[0, 0, 0] == 80
    bench.infos["left"] = camera_info("left", STAMP_NS + 90_000_000, focal=80.0)
    assert bench.build().rig.intrinsics[0, 0, 0] == 80
    assert not bench.counted()


def test_camera_that_changes_its_size_is_left_out_until_its_calibration_follows(
    bench: Bench,
) -> None:
    bench.build()
    bench.images["left"] = compressed_image("left", STAMP_NS, jpeg(160, 96))
    assert bench.build().valid == (False, True, True)
    bench.infos["left"] = camera_info("left", STAMP_NS, focal=80.0, size=(160, 96))
    frame = bench.build()
    assert frame.valid == (True, True, True)
    assert frame.rig.image_sizes[0] == (96, 160)
    assert bench.counted() == {Drop.SIZE_MISMATCH: 1}


def test_calibration_that_turns_bad_and_good_again(bench: Bench) -> None:
    assert bench.build().valid == (True, True, True)
    bench.infos["left"] = camera_info("left", STAMP_NS - 9_000_000, focal=float("nan"))
    for _ in range(2):
        assert bench.build().valid == (False, True, True)
    bench.infos["left"] = camera_info("left", STAMP_NS - 8_000_000, focal=50.0)
    assert bench.build().rig.intrinsics[0, 0, 0] == 50
    assert bench.counted() == {Drop.BAD_CAMERA_INFO: 2}


def test_report_tells_spread_decoding_and_tf(bench: Bench) -> None:
    bench.poses.delay_s = 0.02
    bench.build()
    report = bench.builder.report
    assert report.camera_spread_ms == pytest.approx(16)
    assert report.tf_wait_ms >= 80
    assert report.decode_ms > 0
    bench.poses.missing.add("odom")
    bench.build()
    assert bench.builder.report.tf_wait_ms >= 20
    assert bench.builder.report.camera_spread_ms == 0


def test_scene_changes_with_a_jump_of_odometry_and_with_the_epoch(bench: Bench) -> None:
    scenes = []
    for number, x in enumerate((0.0, 5.0, 10.0, 40.0, 45.0, 50.0)):
        bench.poses.ego_x = x
        scenes.append(bench.build(STAMP_NS + number * 500_000_000).scene)
    bench.poses.ego_x = 0.0
    scenes.append(bench.build(STAMP_NS, epoch=1).scene)
    assert scenes[0] == scenes[1] == scenes[2]
    assert scenes[3] == scenes[4] == scenes[5]
    assert len(set(scenes)) == 3
    assert bench.counted() == {Drop.ODOMETRY_JUMP: 1}
    assert "30 m in 0.5 s" in bench.drops.take_news()[Drop.ODOMETRY_JUMP]


def test_limit_of_odometry_jumps_is_a_setting() -> None:
    bench = Bench(max_odometry_jump_m=50.0)
    scenes = set()
    for number, x in enumerate((0.0, 5.0, 10.0, 40.0)):
        bench.poses.ego_x = x
        scenes.add(bench.build(STAMP_NS + number * 500_000_000).scene)
    assert len(scenes) == 1
    bench.builder.close()


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_bytes_a_frame_is_sound_or_its_cameras_are_counted(seed: int) -> None:
    """Random damage to images and calibrations: no exception, no camera lost without a count."""
    source = random.Random(seed)
    bench = Bench(input_size=(12, 20))
    for _ in range(10):
        for camera in CAMERAS:
            data = bytearray(jpeg())
            for _ in range(source.choice((0, 0, 1, 30))):
                data[source.randrange(len(data))] = source.randrange(256)
            bench.images[camera] = compressed_image(camera, STAMP_NS, bytes(data))
            if source.random() < 0.3:
                raw = raw_image(camera, STAMP_NS)
                raw.encoding = source.choice(("bgr8", "rgba8", "mono16", "bayer_rggb8", "", "x"))
                raw.step = source.choice((raw.step, 0, 2**32 - 1))
                raw.width = source.choice((WIDTH, 0, 2**31))
                bench.images[camera] = raw
            info = camera_info(camera, STAMP_NS, focal=source.choice((40.0, 0.0, math.nan, 1e308)))
            info.width = source.choice((WIDTH, WIDTH, 0, 7))
            info.binning_x = source.choice((0, 0, 1, 2))
            bench.infos[camera] = info
        before = sum(bench.counted().values())
        frame = bench.build()
        lost = sum(bench.counted().values()) - before
        if frame is None:
            assert lost == len(CAMERAS) + 1
            continue
        assert frame.valid.count(False) == lost
        for index, valid in enumerate(frame.valid):
            if valid:
                focal = float(frame.rig.intrinsics[index, 0, 0])
                assert focal == 10
                assert frame.rig.image_sizes[index] == (HEIGHT // 4, WIDTH // 4)
    bench.builder.close()


def test_an_expected_image_is_decoded_once_and_another_one_in_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()
    decoded: list[ImageMessage] = []
    decode = image_decoders.rgb_from_message

    def count(message: ImageMessage, size: Any, **others: Any) -> Any:
        decoded.append(message)
        return decode(message, size, **others)

    monkeypatch.setattr(image_decoders, "rgb_from_message", count)
    bench.builder.expect("left", bench.images["left"])
    bench.builder.expect("front", compressed_image("front", STAMP_NS))  # not what the frame holds
    frame = bench.build()
    assert frame.valid == (True, True, True)
    assert sum(message is bench.images["left"] for message in decoded) == 1
    assert sum(message is bench.images["front"] for message in decoded) == 1
    bench.builder.close()


def test_nothing_is_expected_after_the_end(bench: Bench) -> None:
    bench.builder.close()
    bench.builder.expect("left", bench.images["left"])
