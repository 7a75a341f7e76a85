"""JPEG bytes to RGB at a whole or a reduced size, in one call that holds no lock of Python's.

Used by gfocc_core.images and the training data's image warp, which turn its errors into theirs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import simplejpeg
from numpy.typing import NDArray

_START = b"\xff\xd8"
_TO_RGB = frozenset({"Gray", "RGB", "YCbCr"})
"""Colour spaces that TurboJPEG turns into RGB by itself."""


@dataclass(frozen=True)
class JpegHeader:
    """What stands before the pixels."""

    size: tuple[int, int]
    """(height, width) in pixels."""
    becomes_rgb: bool
    """Whether `decode_jpeg` can give its colours; it cannot for print (CMYK)."""


def is_jpeg(data: bytes | memoryview) -> bool:
    """By the first bytes."""
    return bytes(data[:2]) == _START


def jpeg_header(data: bytes | memoryview) -> JpegHeader:
    """Read the header; raises ValueError where it is damaged."""
    height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    return JpegHeader((height, width), colours in _TO_RGB)


def decode_jpeg(
    data: bytes | memoryview,
    size: tuple[int, int],
    eighths: int = 8,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Unpack at `eighths` / 8 of the full size (height, width), rounded up.

    Args:
        data: the file's bytes.
        size: (height, width) of the full-size image, as its header says.
        eighths: 1 to 8.
        out: where to write, C-contiguous and of the returned shape.

    Returns:
        uint8 [h, w, 3], RGB.

    Raises:
        ValueError: the bytes are damaged or cut off.
    """
    pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
        data,
        "RGB",
        fastdct=False,
        fastupsample=False,
        min_height=math.ceil(size[0] * eighths / 8),
        min_width=math.ceil(size[1] * eighths / 8),
        buffer=out,
        strict=True,
    )
    return pixels
