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
    inputs, affines, shifts = [], [], []
    mean = torch.tensor(config.mean, device=device).view(3, 1, 1)
    std = torch.tensor(config.std, device=device).view(3, 1, 1)
    for index, size in enumerate(frame.rig.image_sizes):
        if frame.valid[index]:
            placement = place_image(size, config)
            pixels = _resize_and_crop(frame.images[index].to(device), placement, config)
            inputs.append((pixels.float() - mean) / std)
            affines.append(placement.scale)
            shifts.append((-float(placement.left), -float(placement.top)))
        else:
            inputs.append(torch.zeros(3, config.height, config.width, device=device))
            affines.append(1.0)
            shifts.append((0.0, 0.0))
    scales = torch.tensor(affines, device=device).view(-1, 1, 1)
    view = CameraView(
        cam_from_ego=invert_transform(frame.rig.ego_from_cam.double()).float()[None].to(device),
        intrinsics=frame.rig.intrinsics.float()[None].to(device),
        affine=(scales * torch.eye(2, device=device))[None],
        shift=torch.tensor(shifts, device=device)[None],
        valid=torch.tensor(frame.valid, device=device)[None],
        size=(config.height, config.width),
    )
    return torch.stack(inputs)[None], view


def _resize_and_crop(image: Tensor, placement: Placement, config: ImageConfig) -> Tensor:
    """uint8 [H, W, 3] -> [3, height, width], antialiased; values stay 0 to 255."""
    pixels = image.permute(2, 0, 1)[None]
    if pixels.device.type != "cpu":
        pixels = pixels.float()  # torch has the antialiased uint8 resize on the CPU only
    pixels = F.interpolate(pixels, placement.resized, mode="bilinear", antialias=True)[0]
    rows = slice(placement.top, placement.top + config.height)
    columns = slice(placement.left, placement.left + config.width)
    return pixels[:, rows, columns]
