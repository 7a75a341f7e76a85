"""A CameraInfo gives the pinhole matrix of the rectified image, or says why it has none."""

from __future__ import annotations

import math

import pytest
import torch

from gfocc_ros.camera_info import CalibrationError, intrinsics_from_message
from tests.ros.camera_messages import camera_info


def test_rectified_image_has_the_projection_matrix() -> None:
    info = camera_info("front", 0, focal=40.0)
    info.p = [30.0, 0.0, 41.0, -3.0, 0.0, 31.0, 25.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    expected = torch.tensor([[30, 0, 41], [0, 31, 25], [0, 0, 1]], dtype=torch.float64)
    torch.testing.assert_close(intrinsics_from_message(info), expected)


def test_camera_matrix_serves_where_the_projection_is_not_filled_in() -> None:
    info = camera_info("front", 0, focal=40.0)
    info.p = [0.0] * 12
    expected = torch.tensor([[40, 0, 40], [0, 40, 24], [0, 0, 1]], dtype=torch.float64)
    torch.testing.assert_close(intrinsics_from_message(info), expected)


@pytest.mark.parametrize("index", [0, 4])
@pytest.mark.parametrize("value", [0.0, -40.0, math.nan, math.inf])
def test_focal_length_that_is_none_is_refused(index: int, value: float) -> None:
    info = camera_info("front", 0)
    info.k[index] = value
    with pytest.raises(CalibrationError, match=f"K has f.*{value}"):
        intrinsics_from_message(info)


def test_zero_focal_length_of_the_projection_is_refused() -> None:
    info = camera_info("front", 0)
    info.p[0] = 0.0
    with pytest.raises(CalibrationError, match=r"P has fx=0\.0"):
        intrinsics_from_message(info)


def test_principal_point_that_is_not_finite_is_refused() -> None:
    info = camera_info("front", 0)
    info.p[2] = math.nan
    with pytest.raises(CalibrationError, match="NaN"):
        intrinsics_from_message(info)
