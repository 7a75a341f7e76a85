"""A made-up drive for the inference benchmark: cameras all around, scenery that changes."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from gfocc_core.frame import Frame
from gfocc_core.geometry import CameraRig, transform_from

FRAMES_APART = 0.5
"""Seconds"""
DIFFERENT_FRAMES = 7
SPEED, YAW_RATE, CAMERA_HEIGHT = 8.0, 0.05, 1.5
"""Metres per second, radians per second, metres."""


class FrameStream:
    """Frames of cameras spread evenly around a vehicle on a wide circle.

    The images repeat every DIFFERENT_FRAMES, poses and stamps never do.
    """

    def __init__(self, cameras: int, size: tuple[int, int], pinned: bool = False) -> None:
        """Args: size: (height, width) of every image; pinned: in page-locked memory."""
        self.cameras, self.image_sizes = cameras, (size,) * cameras
        height, width = size
        focal = 0.79 * width
        matrix = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
        self._rig = CameraRig(
            names=tuple(f"camera_{index}" for index in range(cameras)),
            intrinsics=matrix.expand(cameras, 3, 3).clone(),
            ego_from_cam=torch.stack([_looking(index / cameras) for index in range(cameras)]),
            image_sizes=self.image_sizes,
        )
        generator = torch.Generator().manual_seed(0)
        self._images = []
        for _ in range(DIFFERENT_FRAMES):
            images = [_scenery(size, generator) for _ in range(cameras)]
            self._images.append(tuple(it.pin_memory() if pinned else it for it in images))

    def frame(self, number: int) -> Frame:
        """Frame 0, 1, 2, ... of the drive."""
        seconds = torch.tensor(number * FRAMES_APART, dtype=torch.float64)
        yaw = YAW_RATE * seconds
        radius = SPEED / YAW_RATE
        position = torch.stack([radius * yaw.sin(), radius * (1 - yaw.cos()), 0 * yaw])
        turn = torch.stack([(yaw / 2).cos(), 0 * yaw, 0 * yaw, (yaw / 2).sin()])
        return Frame(
            images=self._images[number % DIFFERENT_FRAMES],
            rig=self._rig,
            global_from_ego=transform_from(position, turn),
            stamp_ns=round(number * FRAMES_APART * 1e9),
            valid=(True,) * self.cameras,
        )


def image_size(text: str) -> tuple[int, int]:
    """(height, width) of a text such as 900x1600; raises ValueError."""
    height, _, width = text.partition("x")
    if not (height.isdigit() and width.isdigit() and int(height) and int(width)):
        raise ValueError(f"images must look like 900x1600, got {text}")
    return int(height), int(width)


def _looking(share: float) -> Tensor:
    """ego_from_cam [4, 4] of a level camera at a share of the full circle, 0 ahead."""
    yaw = torch.tensor(share * 2 * torch.pi)
    zero, one = torch.zeros(()), torch.ones(())
    forward = torch.stack([yaw.cos(), yaw.sin(), zero])
    right = torch.stack([yaw.sin(), -yaw.cos(), zero])
    pose = torch.eye(4)
    pose[:3, :3] = torch.stack([right, torch.stack([zero, zero, -one]), forward], 1)
    pose[2, 3] = CAMERA_HEIGHT
    return pose


def _scenery(size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """uint8 [H, W, 3]: large and small patches of colour, as smooth as photographs are."""
    total = torch.zeros(1, 3, *size)
    for cells, strength in ((4, 0.5), (32, 0.3), (128, 0.2)):
        patches = torch.rand(1, 3, cells, 2 * cells, generator=generator)
        total += strength * F.interpolate(patches, size, mode="bilinear")
    return (255 * total[0]).clamp(0, 255).byte().permute(1, 2, 0).contiguous()
