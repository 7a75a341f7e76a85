"""A small rig, small configurations and frames for tests of the core."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from gfocc_core.config import Config, ImageConfig, ModelConfig
from gfocc_core.frame import Frame
from gfocc_core.geometry import CameraRig
from gfocc_core.grid import VoxelGrid


def camera_pose(yaw_degrees: float) -> torch.Tensor:
    """`ego_from_cam` [4, 4] of a level camera 1.5 m up that looks along a yaw (0 is forward)."""
    yaw = math.radians(yaw_degrees)
    forward = torch.tensor([math.cos(yaw), math.sin(yaw), 0.0])
    right = torch.tensor([math.sin(yaw), -math.cos(yaw), 0.0])
    pose = torch.eye(4)
    pose[:3, :3] = torch.stack([right, torch.tensor([0.0, 0.0, -1.0]), forward], 1)
    pose[2, 3] = 1.5
    return pose


def make_rig(count: int, size: tuple[int, int] = (90, 160)) -> CameraRig:
    """Cameras spread evenly around the vehicle."""
    focal = size[1] * 0.8
    matrix = torch.tensor([[focal, 0, size[1] / 2], [0, focal, size[0] / 2], [0, 0, 1]])
    return CameraRig(
        names=tuple(f"cam_{index}" for index in range(count)),
        intrinsics=matrix.expand(count, 3, 3).clone(),
        ego_from_cam=torch.stack([camera_pose(360 / count * index) for index in range(count)]),
        image_sizes=(size,) * count,
    )


MakeFrame = Callable[..., Frame]


@pytest.fixture
def make_frame() -> MakeFrame:
    """Build frames with random images: `make_frame(cameras=6, stamp=0.0, x=0.0, seed=0, ...)`."""

    def build(
        cameras: int = 6, stamp: float = 0.0, x: float = 0.0, seed: int = 0, **changes: object
    ) -> Frame:
        rig = make_rig(cameras)
        generator = torch.Generator().manual_seed(seed)
        images = tuple(
            torch.randint(0, 256, (*size, 3), generator=generator, dtype=torch.uint8)
            for size in rig.image_sizes
        )
        pose = torch.eye(4, dtype=torch.float64)
        pose[0, 3] = x
        frame = Frame(images, rig, pose, round(stamp * 1e9), (True,) * cameras, "scene")
        return replace(frame, **changes)  # type: ignore[arg-type]

    return build


@pytest.fixture(scope="session")
def small_config() -> Config:
    """A network of the full structure, small enough for unit tests."""
    return Config(
        model=ModelConfig(
            backbone="resnet10t",
            channels=16,
            heads=2,
            points=2,
            blocks=2,
            inducing_points=8,
            gaussians=60,
        ),
        image=ImageConfig(height=64, width=96),
        grid=VoxelGrid(lower=(-8.0, -8.0, -1.0), voxel_size=0.8, shape=(20, 20, 8)),
    )
