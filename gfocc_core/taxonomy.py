"""Occ3D-nuScenes class ids, names, colours and groups.

Imported by everything that names a class; imports nothing of gfocc.
Source: Occ3D (Tian et al., NeurIPS 2023) and the nuScenes-lidarseg palette.
"""

from __future__ import annotations

CLASS_NAMES: tuple[str, ...] = (
    "others",
    "barrier",
    "bicycle",
    "bus",
    "car",
    "construction_vehicle",
    "motorcycle",
    "pedestrian",
    "traffic_cone",
    "trailer",
    "truck",
    "driveable_surface",
    "other_flat",
    "sidewalk",
    "terrain",
    "manmade",
    "vegetation",
    "free",
)
"""Name of each Occ3D id; the index is the id."""

FREE_ID = 17
"""Id of a voxel that nothing occupies."""

NUM_PREDICTED_CLASSES = 16
"""The network's channels: channel k predicts id k + 1 (ids 1 to 16)."""

DYNAMIC_IDS: tuple[int, ...] = (2, 3, 4, 5, 6, 7, 9, 10)
"""Ids of objects that move by themselves; only these follow the flow head."""

GROUND_IDS: tuple[int, ...] = (11, 12, 13, 14)
"""Ids of surfaces one stands or drives on: no obstacle."""

COLORS: tuple[tuple[int, int, int], ...] = (
    (0, 0, 0),
    (112, 128, 144),
    (220, 20, 60),
    (255, 127, 80),
    (255, 158, 0),
    (233, 150, 70),
    (255, 61, 99),
    (0, 0, 230),
    (47, 79, 79),
    (255, 140, 0),
    (255, 99, 71),
    (0, 207, 191),
    (175, 0, 75),
    (75, 0, 75),
    (112, 180, 60),
    (222, 184, 135),
    (0, 175, 0),
    (255, 255, 255),
)
"""RGB colour (0 to 255) of each id; the index is the id."""
