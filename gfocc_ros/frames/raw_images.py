"""Pixels of raw camera images in the encodings that drivers send; needs no ROS.

Called by the node's image decoding and by the exporter of recordings.
"""

from __future__ import annotations

import re
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from gfocc_core.images import ImageDecodeError

_CHANNELS = {"mono": 1, "rgb": 3, "bgr": 3, "rgba": 4, "bgra": 4}
_COLOR_CODES = {
    "mono": cv2.COLOR_GRAY2RGB,
    "bgr": cv2.COLOR_BGR2RGB,
    "rgba": cv2.COLOR_RGBA2RGB,
    "bgra": cv2.COLOR_BGRA2RGB,
}
# OpenCV names a Bayer pattern by its second row and second column, ROS by its first ones.
_BAYER_CODES = {
    "rggb": cv2.COLOR_BayerBG2RGB,
    "bggr": cv2.COLOR_BayerRG2RGB,
    "gbrg": cv2.COLOR_BayerGR2RGB,
    "grbg": cv2.COLOR_BayerGB2RGB,
}
_YUV_CODES = {
    "yuv422": cv2.COLOR_YUV2RGB_UYVY,
    "uyvy": cv2.COLOR_YUV2RGB_UYVY,
    "yuv422_yuy2": cv2.COLOR_YUV2RGB_YUY2,
    "yuyv": cv2.COLOR_YUV2RGB_YUY2,
}
_PLAIN = re.compile(r"(mono|rgb|bgr|rgba|bgra)(8|16)")
_BAYER = re.compile(r"bayer_(rggb|bggr|gbrg|grbg)(8|16)")


class RawImage(Protocol):
    """The fields of a sensor_msgs/Image, of rclpy's class as of rosbags'."""

    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: Any


def decode_raw(message: RawImage, reduction: int = 1) -> NDArray[np.uint8]:
    """Pixels uint8 [H, W, 3] RGB; rgb8 at full size shares the message's memory.

    Args:
        message: Of 16 bits per channel the upper 8 are kept.
        reduction: 1, 2, 4 or 8: means of blocks of that size.

    Raises:
        ImageDecodeError: an unknown encoding, or bytes that do not fit the stated size.
    """
    encoding = message.encoding
    if plain := _PLAIN.fullmatch(encoding):
        order, bits = plain.groups()
        pixels = _reduce(_pixels(message, _CHANNELS[order], int(bits)), reduction)
        return pixels if order == "rgb" else _convert(pixels, _COLOR_CODES[order])
    if bayer := _BAYER.fullmatch(encoding):
        pattern, bits = bayer.groups()
        if message.width % 2 or message.height % 2:
            found = f"{message.width}x{message.height}"
            raise ImageDecodeError(f"{encoding} image needs an even size, got {found}")
        return _reduce(
            _convert(_pixels(message, 1, int(bits)), _BAYER_CODES[pattern]),
            reduction,
        )
    if encoding in _YUV_CODES:
        if message.width % 2:
            raise ImageDecodeError(f"{encoding} image needs an even width, got {message.width}")
        return _reduce(_convert(_pixels(message, 2, 8), _YUV_CODES[encoding]), reduction)
    raise ImageDecodeError(
        f"unknown image encoding '{encoding}', known: rgb, bgr, rgba, bgra, mono and bayer_* "
        f"with 8 or 16 bits, {', '.join(_YUV_CODES)}"
    )


def _reduce(pixels: NDArray[np.uint8], reduction: int) -> NDArray[np.uint8]:
    """Means of blocks, so that corners stay where they are."""
    if reduction == 1:
        return pixels
    height, width = pixels.shape[0] // reduction, pixels.shape[1] // reduction
    reduced = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(reduced, dtype=np.uint8)


def _convert(pixels: NDArray[np.uint8], code: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(pixels, code), dtype=np.uint8)


def _pixels(message: RawImage, channels: int, bits: int) -> NDArray[np.uint8]:
    """The message's bytes as [H, W, channels] ([H, W] of one channel) without row padding."""
    height, width, step = message.height, message.width, message.step
    row_bytes = width * channels * (bits // 8)
    size = f"{width}x{height} {message.encoding} image"
    if height == 0 or width == 0:
        raise ImageDecodeError(f"{size} is empty")
    if step < row_bytes:
        raise ImageDecodeError(f"{size} needs rows of {row_bytes} bytes, its step is {step}")
    data = np.frombuffer(message.data, dtype=np.uint8)
    if data.size < step * (height - 1) + row_bytes:
        raise ImageDecodeError(f"{size} with step {step} holds only {data.size} bytes")
    rows = np.lib.stride_tricks.as_strided(data, (height, row_bytes), (step, 1))
    if bits == 16:
        rows = rows[:, 0::2] if message.is_bigendian else rows[:, 1::2]
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.ascontiguousarray(rows).reshape(shape)
