"""Distorted images become what a pinhole camera would have seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from gfocc_core.images import ImageDecodeError, decode_image
from gfocc_ros.bags.messages import new_message
from gfocc_ros.bags.rectification import Rectifier
from gfocc_ros.frames.camera_info import CalibrationError
from tests.ros.robot_bag import HEIGHT, WIDTH, K, P, camera_info, compressed, jpeg, raw

COMPRESSED, RAW = "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/Image"
MODELS: Mapping[str, list[float]] = {
    "plumb_bob": [-0.25, 0.05, 0.002, -0.003, 0.0],
    "rational_polynomial": [0.3, 0.02, 0.001, 0.001, 0.0, 0.55, 0.1, 0.0],
    "equidistant": [0.05, -0.01, 0.002, 0.0],
}
WIDE, HIGH = 640, 480
SCALE = np.array([WIDE / WIDTH, 1, WIDE / WIDTH, 1, HIGH / HEIGHT, HIGH / HEIGHT, 1, 1, 1])
LARGE_K = np.array(K) * SCALE
Floats = npt.NDArray[np.float64]


def world(rays: Floats) -> npt.NDArray[np.uint8]:
    """Colours [N, 3] of what lies in directions [N, 2] (x/z, y/z)."""
    x, y = rays.T
    waves = (np.sin(9 * x + 2), np.sin(9 * y), np.sin(6 * (x + y)))
    return np.stack([127 + 100 * wave for wave in waves], -1).round().astype(np.uint8)


def pixel_grid() -> Floats:
    """Pixels [N, 2], row by row."""
    x, y = np.meshgrid(np.arange(WIDE), np.arange(HIGH))
    return np.stack([x.ravel(), y.ravel()], -1).astype(np.float64)


def seen(model: str) -> npt.NDArray[np.uint8]:
    """What the distorting lens shows of the world."""
    undistort = cv2.fisheye.undistortPoints if model == "equidistant" else cv2.undistortPoints
    points = pixel_grid()[:, None]
    rays = undistort(points, LARGE_K.reshape(3, 3), np.array(MODELS[model]))
    return world(rays[:, 0]).reshape(HIGH, WIDE, 3)


def large_info(model: str, **changes: Any) -> Any:
    values = {"height": HIGH, "width": WIDE, "k": LARGE_K, "p": np.zeros(12)}
    values |= {"distortion_model": model, "d": np.array(MODELS[model])}
    return camera_info(0, **(values | changes))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("p_is_given", [True, False])
def test_a_lens_is_undone(model: str, p_is_given: bool) -> None:
    p = np.array([500.0, 0, 310, 0, 0, 480, 250, 0, 0, 0, 1, 0]) if p_is_given else np.zeros(12)
    # R is the turn of a stereo pair; tf's pose is that of the lens before it
    r = np.array(cv2.Rodrigues(np.array([0.0, 0.2, 0.0]))[0]).ravel()
    rectifier = Rectifier.from_info(large_info(model, p=p, r=r), is_rectified=False)
    expected = p.reshape(3, 4)[:, :3] if p_is_given else LARGE_K.reshape(3, 3)
    assert np.array_equal(rectifier.intrinsics, expected)
    assert rectifier.image_size == (HIGH, WIDE)
    data, suffix = rectifier.encode(raw(1, "lens", seen(model)), RAW)
    assert suffix == ".jpg"
    found = decode_image(data).numpy().astype(int)
    rays = (pixel_grid() - expected[:2, 2]) / expected.diagonal()[:2]
    truth = world(rays).reshape(HIGH, WIDE, 3).astype(int)
    shown = (slice(60, 420), slice(80, 560))  # every lens sees this much
    assert np.abs(found - truth)[shown].mean() < 2
    assert np.abs(seen(model).astype(int) - truth)[shown].mean() > 6  # as it comes


def test_images_of_a_rectified_topic_are_copied_and_described_by_p() -> None:
    rectifier = Rectifier.from_info(camera_info(0), is_rectified=True)
    assert np.array_equal(rectifier.intrinsics, np.reshape(P, (3, 4))[:, :3])
    data = jpeg(1)
    assert rectifier.encode(compressed(1, "lens", data), COMPRESSED) == (data, ".jpg")


def test_a_raw_topic_without_distortion_is_copied_and_described_by_k() -> None:
    for d in (np.zeros(5), np.zeros(0)):
        rectifier = Rectifier.from_info(camera_info(0, d=d), is_rectified=False)
        assert np.array_equal(rectifier.intrinsics, np.reshape(K, (3, 3)))
        data = jpeg(1)
        assert rectifier.encode(compressed(1, "lens", data), COMPRESSED) == (data, ".jpg")


def test_png_stays_png_and_other_formats_become_jpeg() -> None:
    rectifier = Rectifier.from_info(camera_info(0), is_rectified=True)
    pixels = np.full((HEIGHT, WIDTH, 3), (250, 128, 10), np.uint8)
    png = cv2.imencode(".png", pixels[..., ::-1])[1].tobytes()
    assert rectifier.encode(compressed(1, "lens", png), COMPRESSED) == (png, ".png")
    bmp = cv2.imencode(".bmp", pixels[..., ::-1])[1].tobytes()
    data, suffix = rectifier.encode(compressed(1, "lens", bmp), COMPRESSED)
    assert suffix == ".jpg"
    assert np.abs(decode_image(data).numpy().astype(int) - pixels).max() < 4


def test_a_raw_image_becomes_a_jpeg_of_its_colours() -> None:
    rectifier = Rectifier.from_info(camera_info(0), is_rectified=True)
    pixels = np.full((HEIGHT, WIDTH, 3), (250, 128, 10), np.uint8)
    data, suffix = rectifier.encode(raw(1, "lens", pixels[..., ::-1].copy(), "bgr8"), RAW)
    assert suffix == ".jpg"
    assert np.abs(decode_image(data).numpy().astype(int) - pixels).max() < 4


def test_a_part_of_the_sensor_keeps_its_own_matrix() -> None:
    region = {"x_offset": 8, "y_offset": 4, "height": 40, "width": 48, "do_rectify": False}
    roi = new_message("sensor_msgs/msg/RegionOfInterest", **region)
    rectifier = Rectifier.from_info(camera_info(0, roi=roi, binning_x=2), is_rectified=True)
    assert rectifier.image_size == (40, 24)
    assert rectifier.intrinsics[0].tolist() == [19.0, 0.0, 11.0]
    with pytest.raises(CalibrationError, match="region of interest or binning"):
        Rectifier.from_info(camera_info(0, roi=roi), is_rectified=False)
    with pytest.raises(CalibrationError, match="region of interest or binning"):
        Rectifier.from_info(camera_info(0, binning_y=2), is_rectified=False)


def test_a_distortion_that_is_not_known_is_named() -> None:
    with pytest.raises(CalibrationError, match="'thin_prism' is not known here"):
        Rectifier.from_info(camera_info(0, distortion_model="thin_prism"), is_rectified=False)
    with pytest.raises(CalibrationError, match="equidistant cannot have 5 coefficients"):
        Rectifier.from_info(camera_info(0, distortion_model="equidistant"), is_rectified=False)


def test_an_image_of_another_size_is_refused() -> None:
    rectifier = Rectifier.from_info(camera_info(0, width=2 * WIDTH), is_rectified=True)
    message = f"it is {WIDTH}x{HEIGHT}, but CameraInfo says {2 * WIDTH}x{HEIGHT}"
    for image, kind in (
        (compressed(1, "lens", jpeg(1)), COMPRESSED),
        (raw(1, "lens", np.zeros((HEIGHT, WIDTH, 3), np.uint8)), RAW),
    ):
        with pytest.raises(ImageDecodeError, match=message):
            rectifier.encode(image, kind)
