"""A semantic grid in three dimensions, from behind and above the vehicle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from gfocc_core.grid import VoxelGrid
from gfocc_core.report.style import PANEL
from gfocc_core.report.voxel_faces import VoxelFaces, box_faces, faces_towards
from gfocc_core.report.voxel_painter import Pinhole, lay_over, paint_faces, smooth

EYE, TARGET = (-25.0, 0.0, 22.0), (8.5, 0.0, -1.0)
"""Metres, ego frame."""
FIELD_OF_VIEW = 42.0
"""Vertical, degrees."""
_OVERSAMPLING = 2.0
_EGO_BODY = ((-0.9, -0.95, -0.2), (3.7, 0.95, 0.75))
_EGO_CABIN = ((-0.4, -0.8, 0.75), (2.1, 0.8, 1.5))
_BODY_COLOR, _CABIN_COLOR = (250, 250, 250), (96, 104, 116)
_SKY = (222, 230, 238)


def draw_chase_view(
    labels: Tensor, grid: VoxelGrid, size: tuple[int, int], seen: Tensor | None = None
) -> Image.Image:
    """Draw labels (uint8 [X, Y, Z]) as shaded cubes with the ego among them.

    Args:
        labels: Occ3D ids.
        grid: where the voxels lie.
        size: (height, width) of the picture in pixels.
        seen: bool [X, Y, Z]; what no camera sees is dimmed. None: nothing is.
    """
    camera = Pinhole.looking_at(EYE, TARGET, size, FIELD_OF_VIEW).scaled(_OVERSAMPLING)
    mask = None if seen is None else seen.cpu().numpy()
    parts = [faces_towards(camera.eye, labels.cpu().numpy(), grid, mask)]
    parts.append(box_faces(camera.eye, *_EGO_BODY, _BODY_COLOR))
    parts.append(box_faces(camera.eye, *_EGO_CABIN, _CABIN_COLOR))
    painted = smooth(paint_faces(VoxelFaces.joined(parts), camera), size)
    return Image.fromarray(lay_over(_backdrop(size), painted))


def _backdrop(size: tuple[int, int]) -> NDArray[np.uint8]:
    """RGB [H, W, 3]: a sky that fades into the panel's ground."""
    share = np.clip(np.linspace(1.6, 0, size[0]), 0, 1)[:, None] ** 2
    rows = share * np.array(_SKY) + (1 - share) * np.array(PANEL)
    return np.repeat(rows[:, None], size[1], 1).astype(np.uint8)
