"""Encoded markers are read as the same markers that were built and serialized by rclpy."""

from __future__ import annotations

import numpy as np
import pytest
from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from gfocc_ros.messages import header_at
from gfocc_ros.publishing.marker_encoding import EncodedMarkers, MarkerEncoder, marker_array

NAMES = ["", "c", "ca", "car", "cars", "carsö", "driveable_surface"]
FRAMES = ["b", "ba", "bas", "base", "base_link"]
STAMP_NS = 1_532_402_927_612_460_123


def encoder(frame_id: str = "base_link", namespace: str = "car") -> MarkerEncoder:
    return MarkerEncoder(frame_id, header_at(STAMP_NS, frame_id).stamp, namespace)


def marker(frame_id: str, namespace: str, **fields: object) -> Marker:
    made = Marker(header=header_at(STAMP_NS, frame_id), ns=namespace, **fields)
    if "pose" not in fields:
        made.pose.orientation.w = 1.0
    return made


def assert_same(parts: list[EncodedMarkers], markers: list[Marker]) -> None:
    assert sum(part.count for part in parts) == len(markers)
    made, expected = marker_array(parts), MarkerArray(markers=markers)
    assert deserialize_message(made, MarkerArray) == expected
    unused = len(made) - len(serialize_message(expected))
    assert 0 <= unused < 4, "only filled up to a multiple of 4"


@pytest.mark.parametrize("frame_id", FRAMES)
@pytest.mark.parametrize("namespace", NAMES)
def test_all_kinds_together(frame_id: str, namespace: str) -> None:
    numbers = np.random.default_rng(0).random((2, 14)).astype(np.float32).astype(float)
    points = np.random.default_rng(1).random((3, 3))
    made = encoder(frame_id, namespace)
    parts = [
        made.deletion_of_all(),
        made.cube_list(7, points, (0.4, 0.8, 1.6), (1.0, 0.5, 0.25, 1.0)),
        made.cube_list(8, points[:0], (0.4, 0.8, 1.6), (1.0, 0.5, 0.25, 1.0)),
        made.deletions([5, -6]),
        made.shapes(
            Marker.SPHERE,
            [9, 10],
            positions=numbers[:, :3],
            orientations=numbers[:, 3:7],
            scales=numbers[:, 7:10],
            colors=numbers[:, 10:],
        ),
    ]
    lists = [
        marker(
            frame_id,
            namespace,
            id=number,
            type=Marker.CUBE_LIST,
            scale=Vector3(x=0.4, y=0.8, z=1.6),
            color=ColorRGBA(r=1.0, g=0.5, b=0.25, a=1.0),
            points=[Point(x=x, y=y, z=z) for x, y, z in own.tolist()],
        )
        for number, own in ((7, points), (8, points[:0]))
    ]
    spheres = [
        marker(
            frame_id,
            namespace,
            id=number,
            type=Marker.SPHERE,
            pose=Pose(
                position=Point(x=row[0], y=row[1], z=row[2]),
                orientation=Quaternion(x=row[3], y=row[4], z=row[5], w=row[6]),
            ),
            scale=Vector3(x=row[7], y=row[8], z=row[9]),
            color=ColorRGBA(r=row[10], g=row[11], b=row[12], a=row[13]),
        )
        for number, row in ((9, numbers[0].tolist()), (10, numbers[1].tolist()))
    ]
    all_gone = marker(frame_id, namespace, action=Marker.DELETEALL)
    gone = [marker(frame_id, namespace, id=number, action=Marker.DELETE) for number in (5, -6)]
    assert_same(parts, [all_gone, *lists, *gone, *spheres])


def test_several_namespaces_in_one_array() -> None:
    names = [*NAMES, *reversed(NAMES)]
    assert_same(
        [encoder(namespace=name).deletions([1]) for name in names],
        [marker("base_link", name, id=1, action=Marker.DELETE) for name in names],
    )


def test_no_marker_is_an_empty_array() -> None:
    assert_same([], [])
    assert_same([encoder().deletions([])], [])
