"""Cameras and lidar on the ego: where they sit, what they see, when they fire."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch

from gfocc_core.config import ImageConfig
from gfocc_core.geometry import transform_from
from gfocc_core.preprocess import place_image
from gfocc_core.synthetic.parts import Array


def _check_mount(
    name: str, translation: tuple[float, float, float], rotation: tuple[float, float, float, float]
) -> None:
    if len(translation) != 3 or not all(map(math.isfinite, translation)):
        raise ValueError(f"{name}: translation must be three finite metres, got {translation}")
    if len(rotation) != 4 or not 0.9 < math.sqrt(sum(q * q for q in rotation)) < 1.1:
        raise ValueError(f"{name}: rotation must be a unit quaternion wxyz, got {rotation}")


@dataclass(frozen=True)
class CameraSpec:
    """A pinhole camera without distortion; intrinsics in pixels, the first pixel spans 0 to 1."""

    name: str
    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    translation: tuple[float, float, float]
    """Of the camera in the ego frame, metres."""
    rotation: tuple[float, float, float, float]
    """ego_from_cam, wxyz; the camera looks along its z, x is right."""
    stamp_ms: float = 0.0
    """When it fires, relative to the keyframe."""

    def __post_init__(self) -> None:
        for field in ("width", "height", "fx", "fy"):
            if not getattr(self, field) > 0:
                raise ValueError(
                    f"{self.name}: {field} must be positive, got {getattr(self, field)}"
                )
        for field in ("cx", "cy", "stamp_ms"):
            if not math.isfinite(getattr(self, field)):
                raise ValueError(f"{self.name}: {field} must be finite, got {getattr(self, field)}")
        _check_mount(self.name, self.translation, self.rotation)

    def at_size(self, height: int, width: int) -> CameraSpec:
        """The same view scaled to cover height x width: bottom rows and middle columns stay."""
        placement = place_image((self.height, self.width), ImageConfig(height=height, width=width))
        scale = placement.scale
        return replace(
            self,
            width=width,
            height=height,
            fx=self.fx * scale,
            fy=self.fy * scale,
            cx=self.cx * scale - placement.left,
            cy=self.cy * scale - placement.top,
        )


@dataclass(frozen=True)
class LidarSpec:
    """A spinning lidar; its beams are evenly spaced in elevation and azimuth."""

    translation: tuple[float, float, float]
    rotation: tuple[float, float, float, float]
    """ego_from_lidar, wxyz; the lidar spins about its z."""
    rings: int = 32
    columns: int = 1090
    lowest_deg: float = -30.67
    highest_deg: float = 10.67
    max_range: float = 70.0
    """Metres."""

    def __post_init__(self) -> None:
        if self.rings < 2 or self.columns < 1:
            raise ValueError(
                f"lidar: rings must be at least 2 and columns at least 1, "
                f"got {self.rings} and {self.columns}"
            )
        if not -90 < self.lowest_deg < self.highest_deg < 90:
            raise ValueError(
                f"lidar: lowest_deg must lie below highest_deg, both inside (-90, 90), "
                f"got {self.lowest_deg} and {self.highest_deg}"
            )
        if not self.max_range > 0:
            raise ValueError(f"lidar: max_range must be positive, got {self.max_range}")
        _check_mount("lidar", self.translation, self.rotation)


@dataclass(frozen=True)
class RigConfig:
    """All sensors of one vehicle."""

    cameras: tuple[CameraSpec, ...]
    lidar: LidarSpec

    def __post_init__(self) -> None:
        names = [camera.name for camera in self.cameras]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"a rig needs cameras with different names, got {names}")

    def at_size(self, height: int, width: int) -> RigConfig:
        """Every camera scaled to cover height x width pixels."""
        return replace(self, cameras=tuple(c.at_size(height, width) for c in self.cameras))


def intrinsics_of(camera: CameraSpec) -> Array:
    """Pinhole matrix [3, 3] in pixels."""
    return np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]], np.float64)


def ego_from_sensor(spec: CameraSpec | LidarSpec) -> Array:
    """The sensor's mount as a rigid transform [4, 4]."""
    matrix = transform_from(
        torch.tensor(spec.translation, dtype=torch.float64),
        torch.tensor(spec.rotation, dtype=torch.float64),
    )
    return np.asarray(matrix.numpy(), np.float64)


def _nuscenes_camera(
    name: str,
    stamp_ms: float,
    translation: tuple[float, float, float],
    rotation: tuple[float, float, float, float],
    focal: float,
    center: tuple[float, float],
) -> CameraSpec:
    return CameraSpec(
        name, 1600, 900, focal, focal, center[0], center[1], translation, rotation, stamp_ms
    )


_LIDAR_TOP = LidarSpec((0.9437, 0.0, 1.8402), (0.70780, -0.00649, 0.01065, -0.70631))

_NUSCENES = RigConfig(
    cameras=(
        _nuscenes_camera(
            "CAM_FRONT_LEFT",
            -43.1,
            (1.5239, 0.4946, 1.5093),
            (0.67573, -0.67366, 0.21214, -0.21123),
            1272.60,
            (826.62, 479.75),
        ),
        _nuscenes_camera(
            "CAM_FRONT",
            -35.5,
            (1.7008, 0.0159, 1.5110),
            (0.49980, -0.50303, 0.49978, -0.49737),
            1266.42,
            (816.27, 491.51),
        ),
        _nuscenes_camera(
            "CAM_FRONT_RIGHT",
            -27.6,
            (1.5508, -0.4934, 1.4957),
            (0.20603, -0.20269, 0.68245, -0.68137),
            1260.85,
            (807.97, 495.33),
        ),
        _nuscenes_camera(
            "CAM_BACK_LEFT",
            -0.5,
            (1.0357, 0.4848, 1.5910),
            (0.69242, -0.70316, -0.11648, 0.11203),
            1256.74,
            (792.11, 492.78),
        ),
        _nuscenes_camera(
            "CAM_BACK",
            -10.4,
            (0.0283, 0.0035, 1.5791),
            (0.50379, -0.49740, -0.49419, 0.50455),
            809.22,
            (829.22, 481.78),
        ),
        _nuscenes_camera(
            "CAM_BACK_RIGHT",
            -20.1,
            (1.0149, -0.4806, 1.5624),
            (0.12281, -0.13240, -0.70043, 0.69050),
            1259.51,
            (807.25, 501.20),
        ),
    ),
    lidar=_LIDAR_TOP,
)


def _level_camera(
    name: str,
    size: tuple[int, int],
    focal: float,
    mount: tuple[float, float, float],
    yaw_deg: float,
) -> CameraSpec:
    """A level camera of (width, height) pixels that looks `yaw_deg` to the left of forward."""
    half = math.radians(yaw_deg) / 2
    # Rz(yaw) times the rotation of a camera that looks forward, (0.5, -0.5, 0.5, -0.5)
    c, s = math.cos(half), math.sin(half)
    rotation = ((c + s) / 2, (-c - s) / 2, (c - s) / 2, (s - c) / 2)
    width, height = size
    return CameraSpec(name, width, height, focal, focal, width / 2, height / 2, mount, rotation)


_FOUR_CAMERAS = RigConfig(
    cameras=(
        _level_camera("front", (1280, 720), 640.0, (1.9, 0.0, 1.35), 0.0),
        _level_camera("left", (960, 600), 430.0, (1.1, 0.85, 1.05), 90.0),
        _level_camera("back", (1280, 720), 700.0, (-0.8, 0.0, 1.2), 180.0),
        _level_camera("right", (960, 600), 430.0, (1.1, -0.85, 1.05), -90.0),
    ),
    lidar=LidarSpec((0.8, 0.0, 1.75), (1.0, 0.0, 0.0, 0.0), rings=32, columns=1024),
)

RIGS: dict[str, RigConfig] = {"nuscenes": _NUSCENES, "four_cameras": _FOUR_CAMERAS}
