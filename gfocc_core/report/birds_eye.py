"""A semantic grid from above: the highest occupied voxel of each column, x forward is up."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from gfocc_core.grid import VoxelGrid
from gfocc_core.report.style import ACCENT, INK, MUTED, PALETTE, PANEL, SMALL, font
from gfocc_core.report.voxel_faces import UNSEEN_FADE
from gfocc_core.taxonomy import FREE_ID

RING_STEP = 10.0
"""Metres between two distance rings."""
SCALE_BAR = 10.0
"""Metres."""
_RELIEF = 0.09
"""Change of brightness per voxel of height difference to the neighbour towards the light."""
_UNSEEN_GROUND = np.array((214, 217, 221), np.float32)
"""Columns in which no camera sees any voxel."""
_OVERSAMPLING = 2


def draw_birds_eye(
    labels: Tensor, grid: VoxelGrid, size: int = 600, seen: Tensor | None = None
) -> Image.Image:
    """Draw labels from above with range rings, a scale bar and the ego.

    Args:
        labels: uint8 [X, Y, Z] Occ3D ids.
        grid: where the voxels lie.
        size: height of the picture in pixels; its width follows from the grid.
        seen: bool [X, Y, Z]; columns of which no camera sees what stands there (or, where nothing
            does, the air) are dimmed. None: nothing is.
    """
    mask = None if seen is None else seen.cpu().numpy()
    top = Image.fromarray(_top_view(labels.cpu().numpy(), mask))
    height = size * _OVERSAMPLING
    width = round(height * grid.shape[1] / grid.shape[0])
    canvas = top.resize((width, height), Image.Resampling.NEAREST)
    pixels_per_metre = height / (grid.shape[0] * grid.voxel_size)
    origin = (grid.upper[1] * pixels_per_metre, grid.upper[0] * pixels_per_metre)
    draw = ImageDraw.Draw(canvas, "RGBA")
    _draw_rings(draw, origin, pixels_per_metre, grid)
    _draw_ego(draw, origin, pixels_per_metre)
    _draw_scale_bar(draw, canvas.size, pixels_per_metre)
    return canvas.resize((width // _OVERSAMPLING, size), Image.Resampling.BOX)


def _top_view(labels: NDArray[np.uint8], seen: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
    """RGB [X, Y, 3] of the highest occupied voxels; row 0 is the farthest x, column 0 the leftmost y."""
    occupied = labels != FREE_ID
    highest = (occupied * np.arange(1, labels.shape[2] + 1)).argmax(-1)
    top: NDArray[Any] = np.take_along_axis(labels, highest[..., None], 2)[..., 0]
    picture = PALETTE[top].astype(np.float32)
    heights = np.where(occupied.any(-1), highest, 0).astype(np.float32)
    picture *= _relief(heights)[..., None]
    if seen is not None:
        solid = occupied.any(-1)
        known = np.where(solid, (occupied & seen).any(-1), seen.any(-1))
        faded = picture + UNSEEN_FADE * (np.array(PANEL, np.float32) - picture)
        faded[~solid] = _UNSEEN_GROUND
        picture = np.where(known[..., None], picture, faded)
    return np.ascontiguousarray(picture.clip(0, 255).astype(np.uint8)[::-1, ::-1])


def _relief(heights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Brightness [X, Y] of a surface lit from the front left."""
    from_front = heights - np.pad(heights, ((0, 1), (0, 0)), mode="edge")[1:]
    from_left = heights - np.pad(heights, ((0, 0), (0, 1)), mode="edge")[:, 1:]
    return (1 + _RELIEF * (from_front + from_left)).clip(0.72, 1.18)


def _draw_rings(
    draw: ImageDraw.ImageDraw,
    origin: tuple[float, float],
    pixels_per_metre: float,
    grid: VoxelGrid,
) -> None:
    farthest = max(*grid.upper[:2], *(-low for low in grid.lower[:2]))
    for ring in range(1, math.ceil(farthest / RING_STEP)):
        radius = ring * RING_STEP * pixels_per_metre
        box = (origin[0] - radius, origin[1] - radius, origin[0] + radius, origin[1] + radius)
        draw.ellipse(box, outline=(*INK, 70), width=_OVERSAMPLING)


def _draw_ego(
    draw: ImageDraw.ImageDraw, origin: tuple[float, float], pixels_per_metre: float
) -> None:
    """A car's outline, 4.6 m by 2 m, its rear axle at the origin."""
    nose, tail, side = (length * pixels_per_metre for length in (3.7, 0.9, 1.0))
    x, y = origin
    shape = [
        (x - side, y + tail),
        (x + side, y + tail),
        (x + side, y - 0.7 * nose),
        (x, y - nose),
        (x - side, y - 0.7 * nose),
    ]
    draw.polygon(shape, fill=(255, 255, 255, 255), outline=(*ACCENT, 255), width=_OVERSAMPLING * 2)


def _draw_scale_bar(
    draw: ImageDraw.ImageDraw, size: tuple[int, int], pixels_per_metre: float
) -> None:
    length, inset = SCALE_BAR * pixels_per_metre, 14 * _OVERSAMPLING
    right, bottom = size[0] - inset, size[1] - inset
    letters = font(SMALL * _OVERSAMPLING)
    box = (right - length - inset / 2, bottom - 1.9 * inset, right + inset / 2, bottom + inset / 2)
    draw.rounded_rectangle(box, 4 * _OVERSAMPLING, fill=(255, 255, 255, 205))
    draw.line((right - length, bottom, right, bottom), fill=INK, width=2 * _OVERSAMPLING)
    for end in (right - length, right):
        draw.line((end, bottom - inset / 3, end, bottom + 1), fill=INK, width=2 * _OVERSAMPLING)
    label = f"{SCALE_BAR:.0f} m"
    draw.text((right - length / 2, bottom - inset / 3), label, MUTED, letters, anchor="ms")
