"""Which classes a segmenter mistakes for which: names stand for Occ3D classes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gfocc_core.taxonomy import CLASS_NAMES

_OBJECTS: dict[str, tuple[str, ...]] = {
    "others": ("manmade", "barrier"),
    "barrier": ("manmade", "traffic_cone"),
    "bicycle": ("motorcycle",),
    "bus": ("truck", "trailer"),
    "car": ("truck",),
    "construction_vehicle": ("truck",),
    "motorcycle": ("bicycle",),
    "pedestrian": ("bicycle", "manmade"),
    "traffic_cone": ("barrier",),
    "trailer": ("truck",),
    "truck": ("bus", "car"),
}
_SURFACES: tuple[dict[str, str], ...] = (
    {"sidewalk": "driveable_surface", "other_flat": "sidewalk", "terrain": "sidewalk"},
    {"driveable_surface": "sidewalk", "other_flat": "driveable_surface", "terrain": "vegetation"},
    {"sidewalk": "terrain", "other_flat": "driveable_surface", "vegetation": "terrain"},
)


def _table(changes: dict[str, str]) -> npt.NDArray[np.uint8]:
    table = np.arange(256, dtype=np.uint8)
    for name, taken_for in changes.items():
        table[CLASS_NAMES.index(name)] = CLASS_NAMES.index(taken_for)
    return table


OBJECT_CONFUSIONS: dict[int, tuple[int, ...]] = {
    CLASS_NAMES.index(name): tuple(CLASS_NAMES.index(other) for other in others)
    for name, others in _OBJECTS.items()
}
"""Id of an object -> ids that it may be taken for."""

SURFACE_CONFUSIONS: tuple[npt.NDArray[np.uint8], ...] = tuple(map(_table, _SURFACES))
"""Ways in which surfaces are mistaken for each other; tables [256] of label -> label."""
