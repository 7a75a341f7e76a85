"""uint8 camera images of any size to the network's input, and the pixel affine of that map.

The rule is "cover": scale until both input dimensions are filled, keep the bottom rows
and the middle columns. For 1600x900 and a 704x256 input that is ALGORITHM 2: scale 0.44,
top 140 rows dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from gfocc_core.config import ImageConfig
from gfocc_core.frame import Frame
from gfocc_core.geometry import CameraView, invert_transform


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
    affines, shifts = [], []
    for size, valid in zip(frame.rig.image_sizes, frame.valid, strict=True):
        placement = place_image(size, config) if valid else Placement(1.0, size, 0, 0)
        affines.append(placement.scale)
        shifts.append((-float(placement.left), -float(placement.top)))
    return CameraView(
        cam_from_ego=invert_transform(frame.rig.ego_from_cam.cpu().double()).float()[None],
        intrinsics=frame.rig.intrinsics.cpu().float()[None],
        affine=(torch.tensor(affines).view(-1, 1, 1) * torch.eye(2))[None],
        shift=torch.tensor(shifts)[None],
        valid=torch.tensor(frame.valid)[None],
        size=(config.height, config.width),
    )


def _resize_and_crop(image: Tensor, placement: Placement, config: ImageConfig) -> Tensor:
    """uint8 [H, W, 3] -> [3, height, width], antialiased; values stay 0 to 255."""
    pixels = image.permute(2, 0, 1)[None]
    if pixels.device.type != "cpu":
        pixels = pixels.float()  # torch has the antialiased uint8 resize on the CPU only
    pixels = F.interpolate(pixels, placement.resized, mode="bilinear", antialias=True)[0]
    rows = slice(placement.top, placement.top + config.height)
    columns = slice(placement.left, placement.left + config.width)
    return pixels[:, rows, columns]
