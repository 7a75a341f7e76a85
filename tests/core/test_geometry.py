"""Rotations, poses and projections against closed forms and independent implementations."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pyquaternion import Quaternion

from gfocc_core.geometry import (
    CameraRig,
    CameraView,
    compose_ego_from_cam,
    invert_transform,
    matrix_from_quaternion,
    transform_from,
    transform_points,
)
from tests.core.conftest import camera_pose, make_rig

numbers = st.floats(-1, 1, allow_nan=False)


@given(st.tuples(numbers, numbers, numbers, numbers).filter(lambda q: sum(v * v for v in q) > 0.1))
def test_quaternion_matrix_matches_pyquaternion(q: tuple[float, ...]) -> None:
    ours = matrix_from_quaternion(torch.tensor(q, dtype=torch.float64))
    theirs = torch.from_numpy(Quaternion(*q).normalised.rotation_matrix)
    assert torch.allclose(ours, theirs, atol=1e-9)


def test_inverse_undoes_a_transform() -> None:
    generator = torch.Generator().manual_seed(0)
    pose = transform_from(
        torch.randn(5, 3, generator=generator, dtype=torch.float64) * 1000,
        torch.randn(5, 4, generator=generator, dtype=torch.float64),
    )
    points = torch.randn(5, 7, 3, generator=generator, dtype=torch.float64)
    back = transform_points(invert_transform(pose), transform_points(pose, points))
    assert torch.allclose(back, points, atol=1e-9)


def test_camera_pose_accounts_for_motion_between_stamps() -> None:
    ego = transform_from(
        torch.tensor([1000.0, 2000.0, 0.0]).double(), torch.tensor([1.0, 0, 0, 0]).double()
    )
    ego_at_cam = ego.clone()
    ego_at_cam[0, 3] += 0.25
    mounted = camera_pose(0).double()
    pose = compose_ego_from_cam(ego, ego_at_cam, mounted)
    assert pose[:3, 3].tolist() == pytest.approx([0.25, 0.0, 1.5], abs=1e-9)


def view_of(
    rig: CameraRig, scale: float = 1.0, shift: tuple[float, float] = (0.0, 0.0)
) -> CameraView:
    height, width = rig.image_sizes[0]
    return CameraView(
        cam_from_ego=invert_transform(rig.ego_from_cam),
        intrinsics=rig.intrinsics,
        affine=(scale * torch.eye(2)).expand(len(rig), 2, 2),
        shift=torch.tensor(shift).expand(len(rig), 2),
        valid=torch.ones(len(rig), dtype=torch.bool),
        size=(height, width),
    )


def test_point_ahead_lands_on_the_principal_point_of_the_front_camera_only() -> None:
    position, visible = view_of(make_rig(4)).project(torch.tensor([[10.0, 0.0, 1.5]]))
    assert visible.flatten().tolist() == [True, False, False, False]
    assert position[0, 0].tolist() == pytest.approx([0.5, 0.5], abs=1e-5)


def test_left_and_up_of_the_vehicle_are_left_and_up_in_the_image() -> None:
    position, _ = view_of(make_rig(4)).project(torch.tensor([[10.0, 2.0, 2.5]]))
    assert position[0, 0, 0] < 0.5
    assert position[0, 0, 1] < 0.5


def test_affine_moves_the_projection() -> None:
    rig = make_rig(1)
    point = torch.tensor([[10.0, 1.0, 1.0]])
    plain, _ = view_of(rig).project(point)
    moved, _ = view_of(rig, 0.5, (8.0, -3.0)).project(point)
    height, width = rig.image_sizes[0]
    expected = plain * 0.5 + torch.tensor([8.0 / width, -3.0 / height])
    assert torch.allclose(moved, expected, atol=1e-6)


def test_a_camera_that_is_not_valid_sees_nothing() -> None:
    view = view_of(make_rig(2))
    points = torch.tensor([[5.0, 0.0, 1.5], [-5.0, 0.0, 1.5]])
    _, visible = view.project(points)
    assert visible.any(-1).tolist() == [True, True]
    blind = CameraView(
        view.cam_from_ego,
        view.intrinsics,
        view.affine,
        view.shift,
        torch.tensor([False, True]),
        view.size,
    )
    _, visible = blind.project(points)
    assert visible.any(-1).tolist() == [False, True]


def test_a_rig_with_wrong_shapes_names_the_field() -> None:
    rig = make_rig(2)
    with pytest.raises(ValueError, match=r"rig\.intrinsics must be \[2, 3, 3\], got \[1, 3, 3\]"):
        CameraRig(rig.names, rig.intrinsics[:1], rig.ego_from_cam, rig.image_sizes)


def test_depth_beyond_a_right_angle_is_not_visible() -> None:
    view = view_of(make_rig(1))
    behind = torch.tensor([[-10.0, 0.0, 1.5], [10.0, 30.0, 1.5]])
    _, visible = view.project(behind)
    assert not visible.any()
    assert math.isfinite(float(view.project(behind)[0].sum()))
