"""Bring what networks return for a whole image to the raster that training reads.

A map is stretched over its whole image: column j of w spans image columns j W / w to (j + 1) W / w.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from gfocc_core.data.weak_labels import CameraRaster


def nearest_on_raster(maps: Tensor, camera: CameraRaster, raster: tuple[int, int]) -> Tensor:
    """The map's value under the centre of each raster pixel; 0 outside the image.

    Args:
        maps: [D, h, w] of any type.
        camera: Where the raster lies in the image.
        raster: (height, width).

    Returns:
        [D, height, width] of the same type.
    """
    indices, inside = [], []
    for axis in (0, 1):
        share = _share(camera, raster, axis).to(maps.device)
        size = maps.shape[axis + 1]
        indices.append((share * size).floor().long().clamp(0, size - 1))
        inside.append((share >= 0) & (share < 1))
    picked = maps[:, indices[0]][:, :, indices[1]]
    return torch.where(inside[0][:, None] & inside[1], picked, picked.new_zeros(()))


def bilinear_on_raster(maps: Tensor, camera: CameraRaster, raster: tuple[int, int]) -> Tensor:
    """float [D, h, w] maps at the centre of each raster pixel: float32 [D, height, width].

    Bilinear between the centres of the map's pixels, constant beyond the outermost ones, NaN
    outside the image and wherever a NaN takes part.
    """
    rows, columns = (_share(camera, raster, axis).to(maps.device) for axis in (0, 1))
    grid = torch.stack(torch.broadcast_tensors(columns, rows[:, None]), -1).float() * 2 - 1
    sampled = F.grid_sample(
        maps[None].float(), grid[None], "bilinear", padding_mode="border", align_corners=False
    )[0]
    inside = ((rows >= 0) & (rows < 1))[:, None] & (columns >= 0) & (columns < 1)
    return torch.where(inside, sampled, torch.nan)


def _share(camera: CameraRaster, raster: tuple[int, int], axis: int) -> Tensor:
    """float64 [n]: where along an image axis raster pixels have their centre, 0 to 1 inside."""
    cut = (camera.top, camera.left)[axis]
    centers = torch.arange(raster[axis], dtype=torch.float64) + 0.5
    return (centers + cut) / camera.scale / camera.image_size[axis]
