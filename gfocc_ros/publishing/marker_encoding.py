"""visualization_msgs/MarkerArray as serialized bytes, thousands of markers in a millisecond.

A Marker costs rclpy some 25 microseconds to build and to serialize, which is a quarter of a
second for every Gaussian of a scene, while `Publisher.publish` takes serialized bytes as they
are. So rclpy serializes one marker per namespace, and NumPy writes the numbers into its copies.

In CDR a marker always ends 4 bytes past a multiple of 8, where the first one begins too: all
markers of one frame and namespace have the same length and layout.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import ArrayLike, NDArray
from rclpy.serialization import serialize_message
from visualization_msgs.msg import Marker, MarkerArray

_PREAMBLE = 8
"""Bytes before the first marker: 4 say how the rest is encoded, 4 count the markers."""

_POINT_COUNT, _POINTS = 108, 112
"""Where a marker's points are counted and where they lie, from the beginning of its pose."""


@dataclass(frozen=True)
class EncodedMarkers:
    """Serialized markers of one namespace, to be joined by `marker_array`."""

    data: bytes
    count: int


@dataclass(frozen=True)
class MarkerEncoder:
    """Serializes the markers of one frame, stamp and namespace."""

    frame_id: str
    stamp: Time
    namespace: str

    def shapes(
        self,
        kind: int,
        ids: ArrayLike,
        *,
        positions: ArrayLike,
        orientations: ArrayLike,
        scales: ArrayLike,
        colors: ArrayLike,
    ) -> EncodedMarkers:
        """N markers that are added or changed.

        Args:
            kind: Marker.CUBE, Marker.SPHERE, ...
            ids: int32 [N].
            positions: [N, 3] metres.
            orientations: [N, 4] unit quaternions xyzw.
            scales: [N, 3] metres.
            colors: [N, 4] RGBA in 0 to 1.
        """
        rows = self._rows(ids, Marker.ADD)
        rows["type"] = kind
        rows["position"] = positions
        rows["orientation"] = orientations
        rows["scale"] = scales
        rows["color"] = colors
        return EncodedMarkers(rows.tobytes(), len(rows))

    def deletions(self, ids: ArrayLike) -> EncodedMarkers:
        """N markers ([N] int32 ids) that viewers are to remove."""
        rows = self._rows(ids, Marker.DELETE)
        return EncodedMarkers(rows.tobytes(), len(rows))

    def deletion_of_all(self) -> EncodedMarkers:
        """One marker: viewers are to remove all of the topic."""
        return EncodedMarkers(self._rows([0], Marker.DELETEALL).tobytes(), 1)

    def cube_list(
        self,
        marker_id: int,
        centers: NDArray[np.float64],
        size: tuple[float, float, float],
        color: tuple[float, float, float, float],
    ) -> EncodedMarkers:
        """One marker: boxes of one size (metres) and color (RGBA in 0 to 1) at [N, 3] metres."""
        rows = self._rows([marker_id], Marker.ADD)
        rows["type"] = Marker.CUBE_LIST
        rows["scale"] = size
        rows["color"] = color
        rows["point_count"] = len(centers)
        marker = rows.tobytes()
        split = _template(self.frame_id, self.namespace).points_at
        points = np.ascontiguousarray(centers, np.float64).tobytes()
        return EncodedMarkers(marker[:split] + points + marker[split:], 1)

    def _rows(self, ids: ArrayLike, action: int) -> NDArray[np.void]:
        """A marker per id, of no type yet."""
        ids = np.asarray(ids, np.int32)
        template = _template(self.frame_id, self.namespace)
        rows = np.tile(template.marker, len(ids)).view(template.layout)
        rows["sec"], rows["nanosec"] = self.stamp.sec, self.stamp.nanosec
        rows["id"] = ids
        rows["action"] = action
        return rows


def marker_array(parts: Sequence[EncodedMarkers]) -> bytes:
    """The serialized MarkerArray of all markers, in their order."""
    encoding = serialize_message(MarkerArray())[: _PREAMBLE - 4]
    count = struct.pack("=I", sum(part.count for part in parts))
    return b"".join([encoding, count, *(part.data for part in parts)])


@dataclass(frozen=True)
class _Template:
    """One serialized marker and where its numbers lie."""

    marker: NDArray[np.uint8]
    layout: np.dtype[np.void]
    points_at: int


@functools.lru_cache(maxsize=64)
def _template(frame_id: str, namespace: str) -> _Template:
    marker = Marker(ns=namespace)
    marker.header.frame_id = frame_id
    marker.pose.orientation.w = 1.0
    one, two = (serialize_message(MarkerArray(markers=[marker] * count)) for count in (1, 2))
    length = len(two) - len(one)
    if length % 8:
        raise RuntimeError("visualization_msgs/Marker is not laid out as this release expects")
    ids_at = _aligned(8 + 4 + len(frame_id.encode()) + 1, 4)
    ids_at = _aligned(ids_at + 4 + len(namespace.encode()) + 1, 4)
    pose_at = _aligned(_PREAMBLE - 4 + ids_at + 12, 8) - (_PREAMBLE - 4)
    fields = {
        "sec": ("=i4", 0),
        "nanosec": ("=u4", 4),
        "id": ("=i4", ids_at),
        "type": ("=i4", ids_at + 4),
        "action": ("=i4", ids_at + 8),
        "position": ("=3f8", pose_at),
        "orientation": ("=4f8", pose_at + 24),
        "scale": ("=3f8", pose_at + 56),
        "color": ("=4f4", pose_at + 80),
        "point_count": ("=u4", pose_at + _POINT_COUNT),
    }
    layout = np.dtype(
        {
            "names": list(fields),
            "formats": [kind for kind, _ in fields.values()],
            "offsets": [offset for _, offset in fields.values()],
            "itemsize": length,
        }
    )
    # Of the two, the first is filled up to where the second begins.
    data = np.frombuffer(two, np.uint8)[_PREAMBLE : _PREAMBLE + length]
    return _Template(data, layout, pose_at + _POINTS)


def _aligned(position: int, to: int) -> int:
    return -(-position // to) * to
