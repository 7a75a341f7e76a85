"""JPEG bytes checked, or unpacked at a whole or a reduced size, without Python's lock.

Used by gfocc_core.images, the training data's image warp and the node's decoders, which turn its
errors into theirs.
"""

from __future__ import annotations

import math

import numpy as np
import simplejpeg
from numpy.typing import NDArray

_START = b"\xff\xd8"
_TO_RGB = frozenset({"Gray", "RGB", "YCbCr"})
"""Colour spaces that TurboJPEG turns into RGB by itself."""
_MOST_PIXELS = 178_956_970
"""A header that claims more is taken for an attack on memory, as by PIL."""


def jpeg_size(data: bytes | memoryview) -> tuple[int, int] | None:
    """(height, width) by the header; None for what `decode_jpeg` does not know.

    That are other formats, by their first bytes, and the colours of print (CMYK).

    Raises:
        ValueError: the header is damaged or claims an absurd size.
    """
    if bytes(data[:2]) != _START:
        return None
    height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    if height * width > _MOST_PIXELS:
        raise ValueError(f"{width} x {height} pixels are more than {_MOST_PIXELS}")
    return (height, width) if colours in _TO_RGB else None


def decode_jpeg(
    data: bytes | memoryview,
    size: tuple[int, int],
    eighths: int,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Unpack at `eighths` / 8 of the full size, rounded up.

    Args:
        data: the file's bytes.
        size: what `jpeg_size` says.
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


def check_jpeg(data: bytes | memoryview) -> None:
    """Read a JPEG to its end without making a picture, in half the time of doing so.

    For decoders that give damaged pictures without a word. What no decoder can tell, changed bytes
    that mean another picture, passes.

    Raises:
        ValueError: the bytes are damaged or cut off.
    """
    simplejpeg.decode_jpeg(data, "GRAY", min_height=1, min_width=1, strict=True)
