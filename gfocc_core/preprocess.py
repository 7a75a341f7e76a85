"""uint8 camera images of any size to the network's input, and the pixel affine of that map.

The rule is "cover": scale until both input dimensions are filled, keep the bottom rows
and the middle columns. For 1600x900 and a 704x256 input that is ALGORITHM 2: scale 0.44,
top 140 rows dropped.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor

from gfocc_core.config import ImageConfig
from gfocc_core.frame import Frame
from gfocc_core.geometry import CameraView


@dataclass(frozen=True)
class Placement:
    """Where an image lands: scaled to `resized` pixels, then cut by `left` and `top`."""

    scale: float
    resized: tuple[int, int]
    """(height, width) after scaling."""
    left: int
    top: int


def place_image(size: tuple[int, int], config: ImageConfig) -> Placement:
    """How an image of (height, width) pixels is scaled and cropped into the input."""
    height, width = size
    scale = max(config.width / width, config.height / height)
    resized = (
        max(round(height * scale), config.height),
        max(round(width * scale), config.width),
    )
    return Placement(scale, resized, (resized[1] - config.width) // 2, resized[0] - config.height)


def preprocess(
    frame: Frame, config: ImageConfig, device: torch.device | str
) -> tuple[Tensor, CameraView]:
    """Bring a frame's images and geometry to the device, batch of one.

    Images travel as uint8; scaling, cropping and normalisation happen on the device.

    Returns:
        Network input float32 [1, C, 3, height, width] and the view that projects into it.
        A camera that is not valid gets a zero image (the mean colour).
    """
    device = torch.device(device)
    mean = torch.tensor(config.mean, device=device).view(3, 1, 1)
    std = torch.tensor(config.std, device=device).view(3, 1, 1)
    inputs = []
    for index, size in enumerate(frame.rig.image_sizes):
        if frame.valid[index]:
            image = frame.images[index].to(device)
            pixels = _resize_and_crop(image, place_image(size, config), config)
            inputs.append((pixels.float() - mean) / std)
        else:
            inputs.append(torch.zeros(3, config.height, config.width, device=device))
    return torch.stack(inputs)[None], camera_view(frame, config).to(device)


def camera_view(frame: Frame, config: ImageConfig) -> CameraView:
    """How a frame's ego points become pixels of the input, batch of one, on the CPU."""
    affine, shift = _pixel_maps(frame.rig.image_sizes, frame.valid, config)
    cam_from_ego = _inverse(frame.rig.ego_from_cam.cpu().double().numpy())
    return CameraView(
        cam_from_ego=torch.from_numpy(cam_from_ego)[None],
        intrinsics=frame.rig.intrinsics.cpu().float()[None],
        affine=torch.from_numpy(affine)[None],
        shift=torch.from_numpy(shift)[None],
        valid=torch.tensor(frame.valid)[None],
        size=(config.height, config.width),
    )


@functools.lru_cache(maxsize=64)
def _pixel_maps(
    sizes: tuple[tuple[int, int], ...], valid: tuple[bool, ...], config: ImageConfig
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Affine [C, 2, 2] and shift [C, 2] of a rig's images, which are the same in most frames."""
    affine, shift = np.zeros((len(sizes), 2, 2), np.float32), np.zeros((len(sizes), 2), np.float32)
    for index, (size, is_valid) in enumerate(zip(sizes, valid, strict=True)):
        placement = place_image(size, config) if is_valid else Placement(1.0, size, 0, 0)
        affine[index, 0, 0] = affine[index, 1, 1] = placement.scale
        shift[index] = -placement.left, -placement.top
    return affine, shift


def _inverse(a_from_b: NDArray[np.float64]) -> NDArray[np.float32]:
    """`geometry.invert_transform` of [C, 4, 4] by NumPy, which is quicker with so few numbers."""
    b_from_a = np.zeros(a_from_b.shape, np.float32)
    rotation = a_from_b[:, :3, :3].transpose(0, 2, 1)
    b_from_a[:, :3, :3] = rotation
    b_from_a[:, :3, 3] = -(rotation @ a_from_b[:, :3, 3:])[..., 0]
    b_from_a[:, 3, 3] = 1
    return b_from_a


def _resize_and_crop(image: Tensor, placement: Placement, config: ImageConfig) -> Tensor:
    """uint8 [H, W, 3] -> [3, height, width], antialiased; values stay 0 to 255."""
    pixels = image.permute(2, 0, 1)[None]
    if pixels.device.type != "cpu":
        pixels = pixels.float()  # torch has the antialiased uint8 resize on the CPU only
    pixels = F.interpolate(pixels, placement.resized, mode="bilinear", antialias=True)[0]
    rows = slice(placement.top, placement.top + config.height)
    columns = slice(placement.left, placement.left + config.width)
    return pixels[:, rows, columns]
