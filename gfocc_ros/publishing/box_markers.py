"""`~/markers`: occupied voxels as boxes in the colours of their classes.

One CUBE_LIST per class and size of box, with the class as namespace. RViz draws a list in one
batch, while every single CUBE is a scene node with a material of its own: a predicted street of
68 000 voxels is some 13 500 boxes in 250 lists, of which few come and go from frame to frame.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from gfocc_core.taxonomy import CLASS_NAMES, FREE_ID
from gfocc_ros.messages import stamp_from_nanoseconds
from gfocc_ros.publishing.class_messages import MARKER_COLORS
from gfocc_ros.publishing.marker_encoding import EncodedMarkers, MarkerEncoder, marker_array
from gfocc_ros.publishing.occupied_voxels import OccupiedVoxels
from gfocc_ros.publishing.shown_markers import ShownMarkers
from gfocc_ros.publishing.voxel_merging import Boxes, merge_voxels

ALPHA = 1.0

_SIZE_BITS = 5
"""Bits of a marker's id for one edge in voxels."""


class BoxMarkers:
    """Remembers what it sent, so as to delete what vanished."""

    def __init__(self) -> None:
        self._shown: ShownMarkers[tuple[int, int]] = ShownMarkers()

    def message(self, voxels: OccupiedVoxels, frame_id: str) -> bytes:
        """A serialized MarkerArray: deletions first, then the boxes of the voxels."""
        stamp = stamp_from_nanoseconds(voxels.stamp_ns)
        encoders = [MarkerEncoder(frame_id, stamp, name) for name in CLASS_NAMES]
        lists = _by_class_and_size(merge_voxels(voxels.index, voxels.labels))
        deletions = [encoders[FREE_ID].deletion_of_all()] if self._shown.is_first else []
        vanished: dict[int, list[int]] = defaultdict(list)
        for label, marker_id in self._shown.replace(lists.keys()):
            vanished[label].append(marker_id)
        deletions += [encoders[label].deletions(ids) for label, ids in vanished.items()]
        return marker_array(deletions + _cube_lists(lists, voxels, encoders))


def _by_class_and_size(boxes: Boxes) -> dict[tuple[int, int], Boxes]:
    """The boxes by label and marker id; the id says the size."""
    x, y, z = boxes.size.T
    ids = (x << _SIZE_BITS | y) << _SIZE_BITS | z
    key = boxes.labels.astype(np.int64) << 3 * _SIZE_BITS | ids
    order = np.argsort(key, kind="stable")
    begins = np.flatnonzero(np.diff(key[order], prepend=-1))
    groups: list[NDArray[np.int64]] = np.split(order, begins[1:]) if len(order) else []
    return {(int(boxes.labels[rows[0]]), int(ids[rows[0]])): boxes.take(rows) for rows in groups}


def _cube_lists(
    lists: dict[tuple[int, int], Boxes], voxels: OccupiedVoxels, encoders: list[MarkerEncoder]
) -> list[EncodedMarkers]:
    lower = np.array(voxels.grid.lower)
    voxel_size = voxels.grid.voxel_size
    markers = []
    for (label, marker_id), boxes in lists.items():
        x, y, z = (float(edge) * voxel_size for edge in boxes.size[0])
        red, green, blue = MARKER_COLORS[label].tolist()
        centers = lower + (boxes.lower + boxes.size / 2) * voxel_size
        markers.append(
            encoders[label].cube_list(marker_id, centers, (x, y, z), (red, green, blue, ALPHA))
        )
    return markers
