"""A real keyframe through bag, DDS and tf is the frame that nuscenes-devkit reads."""

from __future__ import annotations

import functools
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import rclpy
import torch
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage

from gfocc_core.config import Config, preset
from gfocc_core.data.frames import iter_frames
from gfocc_core.data.scenes import open_nuscenes, scene_names
from gfocc_core.frame import Frame, Occupancy
from gfocc_core.geometry import invert_transform
from gfocc_ros.frames.drops import QUIET_DROPS
from gfocc_ros.parameters.parameters import NUSCENES_CAMERAS, NodeParameters
from gfocc_ros.pipeline import OccupancyPipeline
from gfocc_ros.publishing.prediction import Prediction, Wanted
from gfocc_ros.tf.transforms import TransformPoses
from tests.ros.node_process import ROOT

pytestmark = [pytest.mark.ros, pytest.mark.keyframe]


class FirstFrame:
    """In the predictor's place: keeps the first frame it gets."""

    gaussians = None
    memory_age_s = None
    device = torch.device("cpu")

    def __init__(self) -> None:
        tiny = preset("tiny")
        # An input as large as the images, so that they are decoded at full size.
        self.config: Config = replace(tiny, image=replace(tiny.image, height=900, width=1600))
        self.frame: Frame | None = None
        self.came = threading.Event()

    def predict(self, frame: Frame, *, velocity: bool = False) -> Occupancy:
        if self.frame is None:
            self.frame = frame
            self.came.set()
        grid = self.config.grid
        labels = torch.zeros(grid.shape, dtype=torch.uint8)
        return Occupancy(labels, torch.zeros(grid.shape), None, grid, frame.stamp_ns)

    def forecast(self, seconds: Sequence[float]) -> tuple[Occupancy, ...]:
        raise AssertionError("nobody asked for it")

    def reset(self) -> None:
        return


class NoListener:
    """In the outputs' place: wants nothing."""

    def wanted(self, now_s: float) -> Wanted:
        return Wanted(velocity=False, gaussians=False, forecast=False)

    def publish(self, prediction: Prediction, now_s: float) -> None:
        return

    def publish_forecast(self, forecasts: Sequence[Occupancy], stamp_ns: int, now_s: float) -> None:
        return


def run_module(name: str, *arguments: str) -> None:
    command = [sys.executable, "-m", f"gfocc_ros.{name}", *arguments]
    subprocess.run(command, cwd=ROOT, check=True, timeout=60)


def play_into_pipeline(bag: Path) -> Frame:
    """The first frame that the node's own parts make of a bag that another process plays."""
    context = Context()
    rclpy.init(context=context)
    node = Node("listener", context=context)
    first, parameters = FirstFrame(), NodeParameters(deadline_s=5.0)
    poses = TransformPoses(node, fixed_frame="odom", base_frame="base_link", timeout_s=2.0)
    pipeline = OccupancyPipeline(parameters, first, poses, NoListener())

    def hand_over() -> None:
        pipeline.hand_over()

    def on_image(camera: str, message: CompressedImage) -> None:
        pipeline.add_image(camera, message)
        hand_over()

    for camera in NUSCENES_CAMERAS:
        image_topic, info_topic = f"{camera}/image_rect/compressed", f"{camera}/camera_info"
        on_camera = functools.partial(on_image, camera)
        on_info = functools.partial(pipeline.add_info, camera)
        node.create_subscription(CompressedImage, image_topic, on_camera, qos_profile_sensor_data)
        node.create_subscription(CameraInfo, info_topic, on_info, qos_profile_sensor_data)
    node.create_timer(0.02, hand_over)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)

    def spin() -> None:
        try:
            executor.spin()
        except ExternalShutdownException:
            return

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    try:
        run_module("play_rosbag", str(bag))
        assert first.came.wait(10), pipeline.drops.take_news()
    finally:
        pipeline.stop(5)
        executor.shutdown()
        thread.join(5)
        context.try_shutdown()
    assert first.frame is not None
    assert pipeline.drops.totals().keys() <= QUIET_DROPS, pipeline.drops.take_news()
    return first.frame


def test_keyframe_arrives_with_its_pixels_calibration_and_poses(
    keyframe_dir: Path, tmp_path: Path
) -> None:
    version = next(path.parent.name for path in sorted(keyframe_dir.glob("*/scene.json")))
    nusc = open_nuscenes(keyframe_dir, version)
    scene = scene_names(nusc)[0]
    bag = tmp_path / "bag"
    arguments = ("--dataroot", str(keyframe_dir), "--version", version, "--scene", scene)
    run_module("nuscenes_to_rosbag", *arguments, "--out", str(bag))
    expected = next(iter_frames(nusc, scene))
    frame = play_into_pipeline(bag)
    assert frame.valid == (True,) * 6
    for mine, theirs in zip(frame.images, expected.images, strict=True):
        assert torch.equal(mine, theirs)
    torch.testing.assert_close(frame.rig.intrinsics.float(), expected.rig.intrinsics)
    # The node's reference is a camera's stamp, nuScenes' the lidar's: compare between cameras.
    for rig in (frame.rig, expected.rig):
        assert rig.ego_from_cam[0, :3, 3].norm() < 5
    mine = invert_transform(frame.rig.ego_from_cam[:1].double()) @ frame.rig.ego_from_cam.double()
    theirs = expected.rig.ego_from_cam.double()
    theirs = invert_transform(theirs[:1]) @ theirs
    torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=0)
