"""The region around moving objects: their boxes in the ego frame, grown by the margin."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pyquaternion import Quaternion

from gfocc_core.grid import OCC3D_GRID
from gfocc_core.training.moving_objects import MARGIN, moving_region

EGO_AT = np.array([100.0, 50.0, 2.0])
EGO_YAW = Quaternion(axis=[0, 0, 1], degrees=90)


class OneSample:
    """As much of the devkit as a single keyframe with annotations needs."""

    def __init__(self, boxes: list[tuple[list[float], float, float]]) -> None:
        """Args: boxes: (centre in the ego frame, yaw in the ego frame in degrees, speed)."""
        self._speeds = {str(number): speed for number, (_, _, speed) in enumerate(boxes)}
        pose = {"translation": EGO_AT.tolist(), "rotation": EGO_YAW.elements.tolist()}
        self._tables = {
            "sample": {
                "s": {"token": "s", "anns": list(self._speeds), "data": {"LIDAR_TOP": "lidar"}}
            },
            "sample_data": {"lidar": {"token": "lidar", "ego_pose_token": "pose"}},
            "ego_pose": {"pose": {"token": "pose", **pose}},
            "sample_annotation": {
                str(number): {
                    "translation": (EGO_AT + EGO_YAW.rotate(np.array(center))).tolist(),
                    "rotation": (EGO_YAW * Quaternion(axis=[0, 0, 1], degrees=yaw)).elements,
                    "size": [2.0, 4.0, 1.6],
                }
                for number, (center, yaw, _) in enumerate(boxes)
            },
        }

    def get(self, table: str, token: str) -> dict[str, object]:
        return self._tables[table][token]

    def box_velocity(self, token: str) -> np.ndarray:
        return np.array([self._speeds[token], 0.0, 0.0])


def region(*boxes: tuple[list[float], float, float]) -> torch.Tensor:
    return moving_region(OneSample(list(boxes)), "s")  # type: ignore[arg-type]


def brute_force(center: list[float], yaw: float) -> torch.Tensor:
    axes = [torch.arange(count) for count in OCC3D_GRID.shape]
    offsets = OCC3D_GRID.centers_of(torch.stack(torch.meshgrid(*axes, indexing="ij"), -1))
    offsets = (offsets - torch.tensor(center)).double()
    cos, sin = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
    ahead = cos * offsets[..., 0] + sin * offsets[..., 1]
    aside = -sin * offsets[..., 0] + cos * offsets[..., 1]
    return (
        (ahead.abs() <= 2 + MARGIN) & (aside.abs() <= 1 + MARGIN) & (offsets[..., 2].abs() <= 0.8)
    )


@pytest.mark.parametrize("yaw", [0.0, 30.0, 120.0])
@pytest.mark.parametrize("center", [[10.05, -7.03, 0.41], [39.5, 0.07, 5.03]])
def test_a_moving_box_covers_what_brute_force_says(center: list[float], yaw: float) -> None:
    found = region((center, yaw, 3.0))
    assert found.any()
    assert torch.equal(found, brute_force(center, yaw))


def test_slow_unknown_and_far_objects_have_no_region() -> None:
    near, far = [10.0, 5.0, 0.5], [80.0, 0.0, 0.5]
    assert not region((near, 0.0, 0.4), (near, 0.0, float("nan")), (far, 0.0, 9.0)).any()


def test_regions_add_up() -> None:
    first, second = [10.0, 5.0, 0.5], [-10.0, 5.0, 0.5]
    both = region((first, 0.0, 2.0), (second, 45.0, 2.0))
    assert torch.equal(both, brute_force(first, 0.0) | brute_force(second, 45.0))
