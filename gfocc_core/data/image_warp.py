"""From a camera's JPEG to the network's raster in one warp, decoded no larger than needed.

For training. Strict like gfocc_core.images: a damaged image is an error, not a grey half.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from torch.utils.data import get_worker_info

from gfocc_core.data.augmentation import InputPlacement
from gfocc_core.images import ImageDecodeError, decode_image
from gfocc_core.jpeg import decode_jpeg, jpeg_size

# An image is decoded at half, quarter or eighth size if the warp then magnifies it less than this.
_MAX_MAGNIFICATION = 1.11

Pixels = npt.NDArray[np.uint8]


def load_image(data: bytes, placement: InputPlacement, out: Pixels) -> tuple[int, int]:
    """Decode an image and place it in the input, bilinear, black where it does not reach.

    Args:
        data: The file's bytes.
        placement: Where full-size pixels shall land.
        out: uint8 [3, height, width] of the placement's size to fill, C-contiguous.

    Returns:
        (height, width) of the full-size image in pixels.

    Raises:
        ImageDecodeError: the bytes are empty, damaged or cut off.
    """
    pixels, size, fraction = decode_for_scale(data, placement.scale)
    warp_image(pixels, fraction, placement, out)
    return size


def decode_for_scale(data: bytes, scale: float) -> tuple[Pixels, tuple[int, int], float]:
    """Decode an image at 1, 1/2, 1/4 or 1/8 of its size, whatever is enough for a later scale.

    Args:
        data: JPEG bytes, or those of another format or in CMYK (decoded at full size then).
        scale: By how much the full-size image will be scaled.

    Returns:
        uint8 [h, w, 3] RGB pixels, (height, width) of the full-size image, and the fraction of it
        that they are: the full-size point (x, y) lies at fraction * (x, y).

    Raises:
        ImageDecodeError: the bytes are empty, damaged or cut off.
    """
    eighths = 8
    while eighths > 1 and scale * 16 / eighths <= _MAX_MAGNIFICATION:
        eighths //= 2
    try:
        size = jpeg_size(data)
        pixels = None if size is None else decode_jpeg(data, size, eighths)
    except ValueError as error:
        raise ImageDecodeError(f"cannot decode an image of {len(data)} bytes: {error}") from error
    if size is None or pixels is None:
        whole = decode_image(data).numpy()
        return whole, (whole.shape[0], whole.shape[1]), 1.0
    return pixels, size, eighths / 8


def warp_image(pixels: Pixels, fraction: float, placement: InputPlacement, out: Pixels) -> None:
    """Place pixels of decode_for_scale in the input: the full-size point p lands at `A p + t`."""
    matrix = np.concatenate([placement.affine.numpy() / fraction, placement.shift[:, None]], axis=1)
    # OpenCV counts from the first pixel's centre, the placement from its corner.
    matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    height, width = placement.size
    warped = cv2.warpAffine(pixels, matrix, (width, height), flags=cv2.INTER_LINEAR)
    for channel in range(3):
        cv2.extractChannel(warped, channel, out[channel])


def use_one_thread_in_workers() -> None:
    """Keep OpenCV to one thread where this process is one of a data loader's many workers."""
    if get_worker_info() is not None:
        cv2.setNumThreads(0)
