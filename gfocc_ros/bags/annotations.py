"""A scene's annotated boxes as one visualization_msgs/MarkerArray per keyframe.

The boxes stand in the map frame. A marker's namespace is its nuScenes category, its id the number
of the object in the scene; an object that is annotated no more is deleted. The first array begins
with DELETEALL, so that a bag played again leaves nothing of the round before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from gfocc_core.data.scenes import DatasetError, get_record
from gfocc_core.data.sensors import Record
from gfocc_core.geometry import transform_from
from gfocc_core.taxonomy import CLASS_NAMES, COLORS
from gfocc_ros.bags.messages import header, new_message, pose, vector

if TYPE_CHECKING:
    from nuscenes.nuscenes import NuScenes

_ADD, _DELETE, _DELETE_ALL = 0, 2, 3
_CUBE, _TEXT = 1, 9
_ALPHA: Final = 0.5
_TEXT_HEIGHT: Final = 0.6
_TEXT_SUFFIX: Final = "/text"

_CLASS_OF_CATEGORY: Final = {
    "movable_object.barrier": "barrier",
    "vehicle.bicycle": "bicycle",
    "vehicle.bus": "bus",
    "vehicle.car": "car",
    "vehicle.construction": "construction_vehicle",
    "vehicle.motorcycle": "motorcycle",
    "human.pedestrian.adult": "pedestrian",
    "human.pedestrian.child": "pedestrian",
    "human.pedestrian.construction_worker": "pedestrian",
    "human.pedestrian.police_officer": "pedestrian",
    "movable_object.trafficcone": "traffic_cone",
    "vehicle.trailer": "trailer",
    "vehicle.truck": "truck",
}
"""Occ3D class by the beginning of the category; Occ3D counts what is not listed as `others`."""


class AnnotationMarkers:
    """The marker arrays of one scene; ask for its keyframes in their order."""

    def __init__(self, nusc: NuScenes, frame_id: str, with_text: bool) -> None:
        self._nusc = nusc
        self._frame_id = frame_id
        self._with_text = with_text
        self._numbers: dict[str, int] = {}
        self._shown: dict[tuple[str, int], None] = {}
        self._started = False

    def of_keyframe(self, stamp_ns: int, sample: Record) -> Any:
        """visualization_msgs/MarkerArray of a keyframe; DatasetError names a damaged record."""
        markers = [] if self._started else [self._marker(stamp_ns, "", 0, _DELETE_ALL)]
        self._started = True
        added = [
            marker
            for token in sample["anns"]
            for marker in self._box(stamp_ns, get_record(self._nusc, "sample_annotation", token))
        ]
        now = dict.fromkeys((marker.ns, marker.id) for marker in added)
        vanished = [key for key in self._shown if key not in now]
        markers += [self._marker(stamp_ns, ns, number, _DELETE) for ns, number in vanished]
        self._shown = now
        return new_message("visualization_msgs/msg/MarkerArray", markers=markers + added)

    def _box(self, stamp_ns: int, annotation: Record) -> Iterator[Any]:
        instance = get_record(self._nusc, "instance", annotation["instance_token"])
        category = get_record(self._nusc, "category", instance["category_token"])["name"]
        number = self._numbers.setdefault(instance["token"], len(self._numbers))
        position, rotation, (width, length, height) = _box_numbers(annotation)
        yield self._marker(
            stamp_ns,
            category,
            number,
            _ADD,
            type=_CUBE,
            pose=_pose(position, rotation),
            scale=vector((length, width, height)),
            color=_color(category_color(category), _ALPHA),
        )
        if self._with_text:
            above = [*position[:2], position[2] + height / 2 + _TEXT_HEIGHT]
            yield self._marker(
                stamp_ns,
                category + _TEXT_SUFFIX,
                number,
                _ADD,
                type=_TEXT,
                pose=_pose(above, rotation),
                scale=vector((0, 0, _TEXT_HEIGHT)),
                color=_color((255, 255, 255), 1.0),
                text=f"{category.rpartition('.')[2]} {number}",
            )

    def _marker(self, stamp_ns: int, ns: str, number: int, action: int, **values: Any) -> Any:
        fields: dict[str, Any] = {
            "type": _CUBE,
            "pose": pose(torch.eye(4, dtype=torch.float64)),
            "scale": vector((0, 0, 0)),
            "color": _color((0, 0, 0), 0.0),
            "text": "",
            **values,
        }
        return new_message(
            "visualization_msgs/msg/Marker",
            header=header(stamp_ns, self._frame_id),
            ns=ns,
            id=number,
            action=action,
            lifetime=new_message("builtin_interfaces/msg/Duration", sec=0, nanosec=0),
            frame_locked=False,
            points=[],
            colors=[],
            texture_resource="",
            texture=new_message(
                "sensor_msgs/msg/CompressedImage",
                header=header(0, ""),
                format="",
                data=np.zeros(0, np.uint8),
            ),
            uv_coordinates=[],
            mesh_resource="",
            mesh_file=new_message(
                "visualization_msgs/msg/MeshFile", filename="", data=np.zeros(0, np.uint8)
            ),
            mesh_use_embedded_materials=False,
            **fields,
        )


def category_color(category: str) -> tuple[int, int, int]:
    """Colour (RGB, 0 to 255) of a nuScenes category: that of its Occ3D class."""
    for beginning, name in _CLASS_OF_CATEGORY.items():
        if category == beginning or category.startswith(f"{beginning}."):
            return COLORS[CLASS_NAMES.index(name)]
    return COLORS[CLASS_NAMES.index("others")]


def _pose(position: list[float], rotation: list[float]) -> Any:
    exact = torch.float64
    return pose(
        transform_from(torch.tensor(position, dtype=exact), torch.tensor(rotation, dtype=exact))
    )


def _color(rgb: Sequence[int], alpha: float) -> Any:
    red, green, blue = (value / 255 for value in rgb)
    return new_message("std_msgs/msg/ColorRGBA", r=red, g=green, b=blue, a=alpha)


def _box_numbers(annotation: Record) -> tuple[list[float], list[float], list[float]]:
    """Centre [3] (m), rotation [4] (wxyz) and width, length, height [3] (m)."""
    found = []
    for field, count in (("translation", 3), ("rotation", 4), ("size", 3)):
        try:
            values = np.array(annotation.get(field), np.float64)
        except (TypeError, ValueError):
            values = np.zeros(0)
        if values.shape != (count,) or not np.isfinite(values).all():
            raise DatasetError(
                f"{field} of sample_annotation '{annotation['token']}' must be {count} finite "
                f"numbers, got {annotation.get(field)}"
            )
        found.append([float(value) for value in values])
    if not any(found[1]) or min(found[2]) < 0:
        raise DatasetError(
            f"sample_annotation '{annotation['token']}' needs a quaternion other than 0 and a "
            f"size that is not negative, got {found[1]} and {found[2]}"
        )
    return found[0], found[1], found[2]
