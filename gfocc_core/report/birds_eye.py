"""A semantic grid from above: the highest occupied voxel of each column, x forward is up."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from gfocc_core.grid import VoxelGrid
from gfocc_core.taxonomy import CLASS_NAMES, COLORS, FREE_ID

BACKGROUND = (245, 245, 245)
INK = (40, 40, 40)
LEGEND_WIDTH = 240
RING_STEP = 10.0
"""Metres between two distance rings."""


def draw_birds_eye(
    labels: Tensor, grid: VoxelGrid, title: str = "", pixels_per_voxel: int = 4
) -> Image.Image:
    """Draw labels (uint8 [X, Y, Z]) from above with range rings, the ego and a legend."""
    top = Image.fromarray(_top_view(labels))
    width, height = grid.shape[1] * pixels_per_voxel, grid.shape[0] * pixels_per_voxel
    canvas = Image.new("RGB", (width + LEGEND_WIDTH, height + 24), BACKGROUND)
    canvas.paste(top.resize((width, height), Image.Resampling.NEAREST), (0, 24))
    draw = ImageDraw.Draw(canvas)
    pixels_per_metre = pixels_per_voxel / grid.voxel_size
    origin = (grid.upper[1] * pixels_per_metre, grid.upper[0] * pixels_per_metre + 24)
    _draw_rings(draw, origin, pixels_per_metre, grid)
    _draw_ego(draw, origin, pixels_per_metre)
    _draw_legend(draw, labels, (width + 12, 32))
    draw.text((6, 5), title, fill=INK, font=ImageFont.load_default(13))
    return canvas


def _top_view(labels: Tensor) -> NDArray[np.uint8]:
    """RGB [X, Y, 3] of the highest occupied voxels; row 0 is the farthest x, column 0 the leftmost y."""
    occupied = labels != FREE_ID
    heights = torch.arange(1, labels.shape[2] + 1, device=labels.device)
    highest = (occupied * heights).argmax(-1, keepdim=True)
    ids = labels.gather(2, highest).squeeze(-1).long().cpu()
    palette = torch.tensor([*COLORS[:FREE_ID], BACKGROUND], dtype=torch.uint8)
    picture: NDArray[np.uint8] = palette[ids].flip(0, 1).numpy()
    return picture


def _draw_rings(
    draw: ImageDraw.ImageDraw,
    origin: tuple[float, float],
    pixels_per_metre: float,
    grid: VoxelGrid,
) -> None:
    farthest = max(*grid.upper[:2], *(-low for low in grid.lower[:2]))
    for ring in range(1, int(farthest / RING_STEP) + 1):
        radius = ring * RING_STEP * pixels_per_metre
        box = (origin[0] - radius, origin[1] - radius, origin[0] + radius, origin[1] + radius)
        draw.ellipse(box, outline=(170, 170, 170))
        draw.text(
            (origin[0] + 3, origin[1] - radius + 2),
            f"{ring * RING_STEP:.0f} m",
            fill=INK,
            font=ImageFont.load_default(11),
        )


def _draw_ego(
    draw: ImageDraw.ImageDraw, origin: tuple[float, float], pixels_per_metre: float
) -> None:
    nose, tail, side = 2.4 * pixels_per_metre, 1.6 * pixels_per_metre, 0.9 * pixels_per_metre
    x, y = origin
    draw.polygon([(x, y - nose), (x - side, y + tail), (x + side, y + tail)], fill=INK)


def _draw_legend(draw: ImageDraw.ImageDraw, labels: Tensor, corner: tuple[int, int]) -> None:
    counts = torch.bincount(labels.flatten().long().cpu(), minlength=len(CLASS_NAMES))
    font = ImageFont.load_default(12)
    x, y = corner
    for class_id, name in enumerate(CLASS_NAMES[:FREE_ID]):
        row = y + class_id * 20
        draw.rectangle((x, row, x + 13, row + 13), fill=COLORS[class_id], outline=INK)
        draw.text((x + 20, row - 1), f"{name}  {int(counts[class_id])}", fill=INK, font=font)
    free = f"free  {int(counts[FREE_ID])}"
    draw.text((x + 20, y + FREE_ID * 20 - 1), free, fill=INK, font=font)
