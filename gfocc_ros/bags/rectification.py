"""From the images of a bag to rectified ones, and the pinhole matrix that they then have.

For the exporter of recordings. Images of image_rect topics are rectified and described by
CameraInfo's P, as the node takes them. Others are the sensor's own, described by K and D: without
distortion they stay as they are, with it they are resampled here, in the camera's own optical frame
(R, the turn of a stereo pair, is left out, so that tf's pose stays theirs).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from gfocc_core.images import ImageDecodeError, decode_image, decode_reduced
from gfocc_ros.bags.camera_topics import COMPRESSED
from gfocc_ros.frames.camera_info import CalibrationError, calibration_from_message
from gfocc_ros.frames.raw_images import decode_raw

_JPEG_QUALITY: Final = 95
_SUFFIX_OF_MAGIC: Final = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png"}
_PINHOLE_MODELS: Final = {"plumb_bob": (4, 5), "rational_polynomial": (8, 12, 14)}
_FISHEYE_MODELS: Final = {"equidistant": (4,), "fisheye": (4,)}
_CHECKED_AT: Final = 8
"""Images that are copied are decoded at this reduction, to know that they are whole."""

Maps = tuple[npt.NDArray[Any], npt.NDArray[Any]]


@dataclass(frozen=True)
class Rectifier:
    """What a camera's images become; made from its CameraInfo."""

    intrinsics: npt.NDArray[np.float64]
    """[3, 3] in pixels of the rectified image."""
    image_size: tuple[int, int]
    """(height, width) in pixels."""
    maps: Maps | None
    """How to resample, None: not at all."""

    @classmethod
    def from_info(cls, info: Any, *, is_rectified: bool) -> Rectifier:
        """Of a sensor_msgs/CameraInfo.

        Raises:
            CalibrationError: it describes no camera, or a distortion that is not known here.
        """
        if is_rectified:
            return cls._without_resampling(info)
        if not np.any(info.d):
            return cls._without_resampling(dataclasses.replace(info, p=np.zeros(12)))
        return cls(
            calibration_from_message(info).intrinsics.numpy(),
            (info.height, info.width),
            _undistortion(info),
        )

    @classmethod
    def _without_resampling(cls, info: Any) -> Rectifier:
        found = calibration_from_message(info)
        return cls(found.intrinsics.numpy(), found.image_size, None)

    def encode(self, message: Any, type_name: str) -> tuple[bytes, str]:
        """The rectified image as a file's bytes and suffix; JPEG and PNG stay byte for byte.

        Args:
            message: sensor_msgs/CompressedImage or Image.
            type_name: Which of them.

        Raises:
            ImageDecodeError: damaged, of another size than CameraInfo's, or of an unknown encoding.
        """
        if type_name == COMPRESSED:
            data = message.data.tobytes()
            suffix = _SUFFIX_OF_MAGIC.get(data[:3]) or _SUFFIX_OF_MAGIC.get(data[:4])
            if self.maps is None and suffix is not None:
                height, width = self.image_size
                small = (height // _CHECKED_AT, width // _CHECKED_AT)
                self._check_size(decode_reduced(data, small).full_size)
                return data, suffix
            pixels = decode_image(data).numpy()
        else:
            pixels = decode_raw(message)
        self._check_size(pixels.shape[:2])
        if self.maps is not None:
            pixels = np.asarray(cv2.remap(pixels, *self.maps, cv2.INTER_LINEAR), np.uint8)
        return _jpeg(pixels), ".jpg"

    def _check_size(self, found: tuple[int, ...]) -> None:
        if tuple(found) != self.image_size:
            raise ImageDecodeError(
                f"it is {found[1]}x{found[0]}, but CameraInfo says "
                f"{self.image_size[1]}x{self.image_size[0]}"
            )


def _undistortion(info: Any) -> Maps:
    """Maps from the rectified image to the sensor's."""
    model, count = info.distortion_model, len(info.d)
    known = _PINHOLE_MODELS | _FISHEYE_MODELS
    if model not in known:
        raise CalibrationError(
            f"distortion_model '{model}' is not known here ({', '.join(known)}); record rectified "
            "images (image_rect)"
        )
    if count not in known[model]:
        raise CalibrationError(f"{model} cannot have {count} coefficients in D")
    roi = info.roi
    part = any((roi.x_offset, roi.y_offset, roi.width not in (0, info.width)))
    if part or roi.height not in (0, info.height) or max(info.binning_x, info.binning_y) > 1:
        raise CalibrationError("a distorted image with a region of interest or binning; record "
                               "rectified images (image_rect)")  # fmt: skip
    matrix, distortion = np.reshape(info.k, (3, 3)), np.asarray(info.d, np.float64)
    wanted = calibration_from_message(info).intrinsics.numpy()
    undistort = (
        cv2.fisheye.initUndistortRectifyMap
        if model in _FISHEYE_MODELS
        else cv2.initUndistortRectifyMap
    )
    size = (info.width, info.height)
    first, second = undistort(matrix, distortion, np.eye(3), wanted, size, cv2.CV_16SC2)
    return first, second


def _jpeg(pixels: npt.NDArray[np.uint8]) -> bytes:
    flags = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    done, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), flags)
    if not done:
        raise ImageDecodeError("it cannot be written as a JPEG")
    return data.tobytes()
