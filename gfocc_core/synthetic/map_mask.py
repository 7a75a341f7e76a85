"""nuScenes' map of a scene: a picture of where one can drive."""

from __future__ import annotations

import cv2
import numpy as np

from gfocc_core.synthetic.world import Ground
from gfocc_core.taxonomy import CLASS_NAMES

RESOLUTION = 0.1
"""Metres per pixel that nuscenes-devkit takes for granted."""

_DRIVEABLE = CLASS_NAMES.index("driveable_surface")


def map_mask_png(ground: Ground) -> bytes:
    """PNG whose lower left corner is the world's origin: 255 on driveable surface, else 0.

    The format knows no negative coordinates; what lies there is left out.
    """
    rows, columns = ground.labels.shape
    x = _pixels_along(ground.lower[0], columns, ground.resolution)
    y = _pixels_along(ground.lower[1], rows, ground.resolution)
    driveable = (ground.labels == _DRIVEABLE)[np.ix_(y[::-1], x)]
    _, png = cv2.imencode(".png", driveable.astype(np.uint8) * np.uint8(255))
    return png.tobytes()


def _pixels_along(
    lower: float, count: int, resolution: float
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Index of the ground's pixel below each pixel of the map, along one axis; at least one."""
    size = max(int((lower + count * resolution) / RESOLUTION), 1)
    index = np.floor(((np.arange(size) + 0.5) * RESOLUTION - lower) / resolution).astype(np.int64)
    return np.clip(index, 0, count - 1)
