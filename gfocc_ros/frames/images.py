"""sensor_msgs images, raw or compressed, to uint8 RGB tensors no larger than needed.

Called by the frame builder's decoding threads.
"""

from __future__ import annotations

import re

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image

from gfocc_core.images import ImageDecodeError, ReducedImage, decode_reduced, reduction_for

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


def rgb_from_message(
    message: Image | CompressedImage, input_size: tuple[int, int] | None = None
) -> ReducedImage:
    """Decode a camera image, no larger than a later, smaller input needs.

    Of 16 bits per channel the upper 8 are kept. Full-size rgb8 shares the message's memory.

    Args:
        message: raw or compressed.
        input_size: (height, width) that the image will be scaled down to cover; None: full size.

    Raises:
        ImageDecodeError: an unknown encoding, bytes that do not fit the stated size, or
            compressed data that is damaged.
    """
    if isinstance(message, CompressedImage):
        return decode_reduced(memoryview(message.data), input_size)
    size = (message.height, message.width)
    reduction = 1 if input_size is None else reduction_for(size, input_size)
    pixels = _decode_raw(message, reduction)
    writeable = pixels if pixels.flags.writeable else pixels.copy()
    return ReducedImage(torch.from_numpy(writeable), size, reduction)


def _decode_raw(message: Image, reduction: int) -> NDArray[np.uint8]:
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


def _pixels(message: Image, channels: int, bits: int) -> NDArray[np.uint8]:
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
