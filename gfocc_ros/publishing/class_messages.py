"""The classes for those who read the other topics: colours, and their list as JSON."""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray
from std_msgs.msg import String

from gfocc_core.taxonomy import CLASS_NAMES, COLORS, DYNAMIC_IDS, FREE_ID, GROUND_IDS


def _packed(colors: tuple[tuple[int, int, int], ...]) -> NDArray[np.float32]:
    red, green, blue = np.array(colors, np.uint32).T
    return (red << 16 | green << 8 | blue).view(np.float32)


PACKED_COLORS = _packed(COLORS)
"""[18] each id's colour 0x00RRGGBB, its bits read as a float: the field `rgb` of point clouds."""

MARKER_COLORS: NDArray[np.float32] = np.array(COLORS, np.float32) / 255
"""[18, 3] each id's colour in 0 to 1."""


def classes_message() -> String:
    """JSON: `free_id` and `classes`, a list of {id, name, color [r, g, b], dynamic, ground}."""
    classes = [
        {
            "id": class_id,
            "name": name,
            "color": list(COLORS[class_id]),
            "dynamic": class_id in DYNAMIC_IDS,
            "ground": class_id in GROUND_IDS,
        }
        for class_id, name in enumerate(CLASS_NAMES)
    ]
    return String(data=json.dumps({"free_id": FREE_ID, "classes": classes}))
