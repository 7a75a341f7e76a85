"""Boxes and ellipsoids: what viewers show after each message is what the frame holds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rclpy.serialization import deserialize_message
from visualization_msgs.msg import Marker, MarkerArray

from gfocc_core.gaussians import Gaussians
from gfocc_core.geometry import matrix_from_quaternion
from gfocc_core.taxonomy import CLASS_NAMES, COLORS, FREE_ID
from gfocc_ros.messages import nanoseconds_from_stamp
from gfocc_ros.publishing.box_markers import BoxMarkers
from gfocc_ros.publishing.gaussian_markers import GaussianMarkers
from gfocc_ros.publishing.shown_markers import REPEATS, ShownMarkers
from tests.ros.occupancy_scene import (
    CAR,
    GRID,
    ROAD,
    STAMP_NS,
    free,
    gaussians,
    random_labels,
    voxels,
)


class Viewer:
    """Does with markers what RViz does."""

    def __init__(self) -> None:
        self.shown: dict[tuple[str, int], Marker] = {}
        self.actions: list[int] = []

    def receive(self, data: bytes) -> None:
        markers = deserialize_message(data, MarkerArray).markers
        self.actions = [marker.action for marker in markers]
        keys = [(marker.ns, marker.id) for marker in markers if marker.action == Marker.ADD]
        assert len(set(keys)) == len(keys), "RViz warns of a marker that comes twice"
        for marker in markers:
            if marker.action == Marker.DELETEALL:
                self.shown.clear()
            elif marker.action == Marker.DELETE:
                self.shown.pop((marker.ns, marker.id), None)
            else:
                self.shown[marker.ns, marker.id] = marker

    def labels(self) -> torch.Tensor:
        """The voxels that the shown boxes cover."""
        labels = free()
        for marker in self.shown.values():
            assert marker.type == Marker.CUBE_LIST
            size = np.array([marker.scale.x, marker.scale.y, marker.scale.z])
            for point in marker.points:
                low = np.array([point.x, point.y, point.z]) - size / 2
                begin = np.rint((low - GRID.lower) / GRID.voxel_size).astype(int)
                end = begin + np.rint(size / GRID.voxel_size).astype(int)
                part = tuple(slice(a, b) for a, b in zip(begin, end, strict=True))
                assert bool((labels[part] == FREE_ID).all())
                labels[part] = CLASS_NAMES.index(marker.ns)
        return labels


def test_a_viewer_shows_exactly_the_voxels_of_every_frame() -> None:
    viewer, boxes = Viewer(), BoxMarkers()
    for seed in range(8):
        labels = random_labels(seed, occupied=0.1 * seed)
        viewer.receive(boxes.message(voxels(labels), "base_link"))
        assert torch.equal(viewer.labels(), labels)


def test_boxes_wear_the_palette_and_name_frame_and_stamp() -> None:
    viewer = Viewer()
    viewer.receive(BoxMarkers().message(voxels(random_labels(0)), "robot/base"))
    assert len({namespace for namespace, _ in viewer.shown}) > 10
    for (namespace, _), marker in viewer.shown.items():
        color = np.array([marker.color.r, marker.color.g, marker.color.b])
        expected = np.array(COLORS[CLASS_NAMES.index(namespace)])
        np.testing.assert_allclose(color * 255, expected, atol=1e-4)
        assert marker.color.a == 1
        assert marker.header.frame_id == "robot/base"
        assert nanoseconds_from_stamp(marker.header.stamp) == STAMP_NS


def test_all_is_deleted_once_in_the_first_message_only() -> None:
    viewer, boxes = Viewer(), BoxMarkers()
    viewer.shown["car", 4_000_000] = Marker()  # of an earlier run of the node
    for frame, labels in enumerate((free(), random_labels(1), random_labels(2))):
        viewer.receive(boxes.message(voxels(labels), "base_link"))
        assert (Marker.DELETEALL in viewer.actions) == (frame == 0)
        assert torch.equal(viewer.labels(), labels)


def test_deletions_come_before_what_is_added() -> None:
    viewer, boxes = Viewer(), BoxMarkers()
    car, road = free(), free()
    car[1, 1, 1], road[1, 1, 1] = CAR, ROAD
    viewer.receive(boxes.message(voxels(car), "base_link"))
    viewer.receive(boxes.message(voxels(road), "base_link"))
    assert viewer.actions == [Marker.DELETE, Marker.ADD]
    viewer.receive(boxes.message(voxels(free()), "base_link"))
    assert viewer.shown == {}


def test_a_viewer_that_misses_messages_still_forgets() -> None:
    viewer, boxes = Viewer(), BoxMarkers()
    viewer.receive(boxes.message(voxels(random_labels(1)), "base_link"))
    for _ in range(REPEATS - 1):
        boxes.message(voxels(free()), "base_link")
    viewer.receive(boxes.message(voxels(free()), "base_link"))
    assert viewer.shown == {}


def test_deletions_end_and_start_anew() -> None:
    shown: ShownMarkers[int] = ShownMarkers()
    assert shown.is_first
    assert shown.replace({1, 2}) == []
    assert not shown.is_first
    assert [shown.replace({2}) for _ in range(REPEATS + 2)] == [[1]] * REPEATS + [[], []]
    assert shown.replace({1}) == [2]
    assert shown.replace({2}) == [1]


def ellipsoids(made: Gaussians, min_opacity: float = 0.1) -> dict[int, Marker]:
    viewer = Viewer()
    viewer.receive(GaussianMarkers().message(made, STAMP_NS, "base_link", min_opacity))
    return {number: marker for (_, number), marker in viewer.shown.items()}


def test_an_ellipsoid_has_the_gaussians_covariance_class_and_opacity() -> None:
    made = gaussians([0.25, 0.5, 1.0])
    covariances = made.covariances().double()
    shown = ellipsoids(made)
    assert set(shown) == {0, 1, 2}
    for number, marker in shown.items():
        assert marker.type == Marker.SPHERE
        position, turn, scale = marker.pose.position, marker.pose.orientation, marker.scale
        np.testing.assert_allclose(
            [position.x, position.y, position.z], made.means[number].numpy(), rtol=1e-6
        )
        quat = torch.tensor([turn.w, turn.x, turn.y, turn.z], dtype=torch.float64)
        assert float(quat.norm()) == pytest.approx(1, abs=1e-12)
        axes = matrix_from_quaternion(quat) * torch.tensor([scale.x, scale.y, scale.z]) / 2
        torch.testing.assert_close(axes @ axes.T, covariances[number], rtol=1e-5, atol=1e-6)
        label = int(made.logits[number].argmax()) + 1
        color = np.array([marker.color.r, marker.color.g, marker.color.b]) * 255
        np.testing.assert_allclose(color, COLORS[label], atol=1e-4)
        assert marker.color.a == pytest.approx(float(made.opacities[number]))


def test_faint_and_broken_gaussians_are_not_shown() -> None:
    made = gaussians([0.05, 0.2, 0.9, 0.9, 0.9])
    made.means[2, 0] = torch.nan
    made.scales[3, 1] = torch.inf
    assert set(ellipsoids(made, min_opacity=0.2)) == {1, 4}
    assert set(ellipsoids(made, min_opacity=0.0)) == {0, 1, 4}


def test_gaussians_that_fade_are_deleted_and_come_back() -> None:
    viewer, markers = Viewer(), GaussianMarkers()
    for opacities in ([0.9, 0.9, 0.9], [0.0, 0.9, 0.0], [0.9, 0.0, 0.0], [0.0, 0.0, 0.0], []):
        viewer.receive(markers.message(gaussians(opacities), STAMP_NS, "base_link", 0.5))
        visible = {number for number, opacity in enumerate(opacities) if opacity > 0.5}
        assert {number for _, number in viewer.shown} == visible
