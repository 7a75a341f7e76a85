"""A CameraInfo gives the pinhole matrix of the rectified image, or says why it has none."""

from __future__ import annotations

import math

import pytest
import torch

from gfocc_ros.frames.camera_info import CalibrationError, calibration_from_message
from tests.ros.camera_messages import camera_info


def test_rectified_image_has_the_projection_matrix() -> None:
    info = camera_info("front", 0, focal=40.0)
    info.p = [30.0, 0.0, 41.0, -3.0, 0.0, 31.0, 25.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    expected = torch.tensor([[30, 0, 41], [0, 31, 25], [0, 0, 1]], dtype=torch.float64)
    torch.testing.assert_close(calibration_from_message(info).intrinsics, expected)


def test_camera_matrix_serves_where_the_projection_is_not_filled_in() -> None:
    info = camera_info("front", 0, focal=40.0)
    info.p = [0.0] * 12
    expected = torch.tensor([[40, 0, 40], [0, 40, 24], [0, 0, 1]], dtype=torch.float64)
    torch.testing.assert_close(calibration_from_message(info).intrinsics, expected)


@pytest.mark.parametrize("index", [0, 4])
@pytest.mark.parametrize("value", [0.0, -40.0, 0.8, 1e9, math.nan, math.inf])
def test_focal_length_that_is_none_is_refused(index: int, value: float) -> None:
    info = camera_info("front", 0)
    info.k[index] = value
    with pytest.raises(CalibrationError, match=f"K has f.*{value}"):
        calibration_from_message(info)


def test_zero_focal_length_of_the_projection_is_refused() -> None:
    info = camera_info("front", 0)
    info.p[0] = 0.0
    with pytest.raises(CalibrationError, match=r"P has fx=0\.0"):
        calibration_from_message(info)


def test_principal_point_that_is_not_finite_is_refused() -> None:
    info = camera_info("front", 0)
    info.p[2] = math.nan
    with pytest.raises(CalibrationError, match="NaN"):
        calibration_from_message(info)


def test_binned_part_of_the_sensor_has_its_own_pixels() -> None:
    """A point on the full sensor and its pixel in the part that is sent, merged two by three."""
    info = camera_info("front", 0, focal=400.0, size=(800, 600))
    info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = 100, 60, 400, 300
    info.binning_x, info.binning_y = 2, 3
    calibration = calibration_from_message(info)
    assert calibration.image_size == (100, 200)
    point = torch.tensor([0.3, -0.2, 1.0], dtype=torch.float64)
    full = torch.tensor([400 * 0.3 + 400, 400 * -0.2 + 300, 1.0], dtype=torch.float64)
    expected = torch.stack([(full[0] - 100) / 2, (full[1] - 60) / 3, full[2]])
    torch.testing.assert_close(calibration.intrinsics @ point, expected)


def test_whole_sensor_has_the_size_of_the_message() -> None:
    info = camera_info("front", 0, size=(80, 48))
    assert calibration_from_message(info).image_size == (48, 80)
    info.roi.width, info.roi.height, info.roi.do_rectify = 80, 48, True
    assert calibration_from_message(info).image_size == (48, 80)


def test_region_of_the_raw_image_is_refused() -> None:
    info = camera_info("front", 0, size=(80, 48))
    info.roi.width, info.roi.height, info.roi.do_rectify = 40, 48, True
    with pytest.raises(CalibrationError, match="raw"):
        calibration_from_message(info)


def test_region_outside_of_the_sensor_is_refused() -> None:
    info = camera_info("front", 0, size=(80, 48))
    info.roi.x_offset, info.roi.width, info.roi.height = 60, 40, 48
    with pytest.raises(CalibrationError, match=r"40x48 at \(60, 0\)"):
        calibration_from_message(info)


def test_last_row_that_is_no_pinhole_s_is_refused() -> None:
    info = camera_info("front", 0)
    info.p[10] = 0.0
    with pytest.raises(CalibrationError, match="row 0 0 1"):
        calibration_from_message(info)
