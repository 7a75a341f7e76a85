"""The node's parameters: one typed, described, ranged and validated table; knows no ROS.

config/occupancy.yaml documents the same parameters with the same defaults.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any

from gfocc_core.config import PRESETS
from gfocc_ros.parameters.parameter_row import check_text, check_value, error, parameter

NUSCENES_CAMERAS = (
    "cam_front_left",
    "cam_front",
    "cam_front_right",
    "cam_back_left",
    "cam_back",
    "cam_back_right",
)
_CAMERA_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(/[A-Za-z][A-Za-z0-9_]*)*")
_FRAME_NAME = re.compile(r"[^/\s]\S*")
_DEVICE_NAME = re.compile(r"auto|cpu|cuda(:\d+)?")


def _rate(topic: str, default: float) -> Any:
    return parameter(
        default,
        f"Most often that ~/{topic} is published, in Hz; 0: every frame.",
        low=0.0,
        high=1000.0,
        at_run_time=True,
    )


@dataclass(frozen=True)
class NodeParameters:
    """Validated values; raises ParameterError on construction. Durations are in seconds."""

    autostart: bool = parameter(
        True,
        "Configure and activate at the start. Else a lifecycle manager does it, by the services "
        "of lifecycle nodes.",
    )
    cameras: tuple[str, ...] = parameter(
        NUSCENES_CAMERAS,
        "Names of the cameras, in the order the network learned them. Each is the prefix of the "
        "topics <camera>/image_rect (or <camera>/image_rect/compressed) and <camera>/camera_info.",
    )
    image_transport: str = parameter(
        "compressed", "How images travel.", choices=("raw", "compressed")
    )
    reference_camera: str = parameter(
        "cam_front",
        "Camera whose images' stamps are the frames' stamps; with cameras of different rates "
        "choose the slowest. Empty: the first of `cameras`.",
    )
    base_frame: str = parameter(
        "base_link", "tf frame of the vehicle (x forward, y left, z up) that the outputs are in."
    )
    fixed_frame: str = parameter(
        "odom", "tf frame that does not move and never jumps (REP-105: odom, not map)."
    )
    checkpoint: str = parameter(
        "",
        "Path of a safetensors checkpoint. Empty: random weights of `preset`, output is noise.",
    )
    preset: str = parameter(
        "tiny", "Network that is built when there is no checkpoint.", choices=tuple(sorted(PRESETS))
    )
    device: str = parameter(
        "auto", "Where the network runs: cpu, cuda, cuda:<number>, or auto (cuda if present)."
    )
    inference: str = parameter(
        "plain",
        "How the network computes: plain is float32, alike everywhere; fast is bfloat16, compiled, "
        "as one CUDA graph (on a GPU; configuring takes a minute longer).",
        choices=("plain", "fast"),
    )
    density_threshold: float = parameter(
        -1.0,
        "A voxel is occupied from this density on; negative: the checkpoint's own threshold.",
        low=-1.0,
        high=1.0,
        at_run_time=True,
    )
    neighborhood: int = parameter(
        -1,
        "A Gaussian reaches the voxels up to this many away from its own, on each axis; negative: "
        "the checkpoint's own number.",
        low=-1,
        high=16,
        at_run_time=True,
    )
    memory_interval_s: float = parameter(
        -1.0,
        "Age of the past frame that a frame remembers, whatever the cameras' rate; 0: the one "
        "before it; negative: the checkpoint's own, the rhythm it was trained with.",
        low=-1.0,
        high=10.0,
        at_run_time=True,
    )
    slop_s: float = parameter(
        0.06,
        "Largest distance between an image's stamp and the reference image's (the cameras of "
        "nuScenes fire over 45 ms).",
        low=0.0,
        high=10.0,
    )
    deadline_s: float = parameter(
        0.15,
        "Wall time after the reference image's arrival at which a frame runs without the "
        "cameras that are silent.",
        low=0.0,
        high=10.0,
    )
    min_cameras: int = parameter(
        1, "A frame with fewer usable cameras than this is dropped.", low=1, high=64
    )
    queue_size: int = parameter(
        10,
        "Images per camera that wait for their frame, and depth of the subscriptions.",
        low=1,
        high=100,
    )
    time_jump_s: float = parameter(
        0.5,
        "A stamp this much older than its predecessor means that time was set back (simulation "
        "restarted, bag played again): memory and tf are cleared.",
        low=0.01,
        high=3600.0,
    )
    future_limit_s: float = parameter(
        1.0,
        "An image stamped this much ahead of the node's clock or of the other cameras is dropped.",
        low=0.01,
        high=3600.0,
    )
    reference_timeout_s: float = parameter(
        1.0,
        "When the reference camera is silent for this long, the first camera that is not "
        "stands in for it.",
        low=0.01,
        high=3600.0,
    )
    tf_timeout_s: float = parameter(
        0.2, "Longest wait for all transforms of a frame together.", low=0.0, high=10.0
    )
    max_odometry_jump_m: float = parameter(
        5.0,
        "Farthest that odometry may move the vehicle beyond what its speed explains between two "
        "frames; a longer jump clears the memory.",
        low=0.1,
        high=1000.0,
    )
    occupancy_rate_hz: float = _rate("occupancy", 0.0)
    grid_rate_hz: float = _rate("grid", 0.0)
    markers_rate_hz: float = _rate("markers", 2.0)
    gaussians_rate_hz: float = _rate("gaussians", 1.0)
    forecast_rate_hz: float = _rate("forecast", 2.0)
    grid_min_height_m: float = parameter(
        -1.0,
        "Obstacles that end below this height in base_frame are left out of ~/grid.",
        low=-100.0,
        high=100.0,
        at_run_time=True,
    )
    grid_max_height_m: float = parameter(
        3.0,
        "Obstacles that begin above this height in base_frame are left out of ~/grid: the vehicle "
        "passes under them.",
        low=-100.0,
        high=100.0,
        at_run_time=True,
    )
    forecast_horizons_s: tuple[float, ...] = parameter(
        (0.5, 1.0, 2.0, 3.0),
        "How far ahead ~/forecast looks; at most as far as the network's flow.",
        low=0.01,
        high=60.0,
        at_run_time=True,
    )
    gaussians_min_opacity: float = parameter(
        0.1,
        "Gaussians less opaque than this are left out of ~/gaussians.",
        low=0.0,
        high=1.0,
        at_run_time=True,
    )
    stale_after_s: float = parameter(
        2.0,
        "/diagnostics says STALE when no frame was predicted for this long.",
        low=0.1,
        high=3600.0,
        at_run_time=True,
    )
    warn_drop_share: float = parameter(
        0.1,
        "/diagnostics says WARN when more than this share of the frames or of the images of the "
        "last 10 s was dropped for a reason that is no part of normal operation.",
        low=0.0,
        high=1.0,
        at_run_time=True,
    )
    report_period_s: float = parameter(
        10.0,
        "Period of the log line with frames, latency and drops; warnings come at most once a "
        "second.",
        low=1.0,
        high=3600.0,
    )

    def __post_init__(self) -> None:
        for row in fields(self):
            check_value(row, getattr(self, row.name))
        for camera in self.cameras:
            check_text(
                "cameras", camera, _CAMERA_NAME.fullmatch, "a list of relative topic prefixes"
            )
        if len(set(self.cameras)) != len(self.cameras):
            raise error("cameras", "a list of different names", list(self.cameras))
        if self.reference_camera and self.reference_camera not in self.cameras:
            known = ", ".join(self.cameras)
            raise error("reference_camera", f"one of cameras ({known})", self.reference_camera)
        if self.min_cameras > len(self.cameras):
            expected = f"at most the number of cameras ({len(self.cameras)})"
            raise error("min_cameras", expected, self.min_cameras)
        if self.grid_min_height_m >= self.grid_max_height_m:
            expected = f"less than grid_max_height_m ({self.grid_max_height_m})"
            raise error("grid_min_height_m", expected, self.grid_min_height_m)
        for name in ("base_frame", "fixed_frame"):
            check_text(name, getattr(self, name), _FRAME_NAME.fullmatch, "a tf frame name")
        device_names = "auto, cpu, cuda or cuda:<number>"
        check_text("device", self.device, _DEVICE_NAME.fullmatch, device_names)
