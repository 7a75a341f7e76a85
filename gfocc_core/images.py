"""Decode compressed camera images to RGB, strictly: a damaged image is an error, not a grey half."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from gfocc_core.jpeg import decode_jpeg, jpeg_size

_COLOUR_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"})
"""PIL's modes of 8 bits and less; what else there is (depth in 16 bits, floats) is no picture."""


_DAMAGE = (
    UnidentifiedImageError,
    OSError,
    SyntaxError,
    ValueError,
    Image.DecompressionBombError,
)
"""What the decoders raise for bytes that they cannot or will not unpack."""


class ImageDecodeError(ValueError):
    """The bytes are not a whole image."""


@dataclass(frozen=True)
class ReducedImage:
    """An image at 1, 1/2, 1/4 or 1/8 of its size: full-size (x, y) lies at (x, y) / reduction."""

    pixels: Tensor
    """uint8 [H, W, 3], RGB; corners coincide with those of the full-size image."""
    full_size: tuple[int, int]
    """(height, width) of the full-size image in pixels."""
    reduction: int


def decode_image(data: bytes) -> Tensor:
    """Decode JPEG or PNG bytes.

    Returns:
        uint8 [H, W, 3], RGB, on the CPU.

    Raises:
        ImageDecodeError: the bytes are empty, of an unknown format, damaged or cut off.
    """
    return decode_reduced(data, None).pixels


def decode_reduced(
    data: bytes | memoryview, input_size: tuple[int, int] | None, *, page_locked: bool = False
) -> ReducedImage:
    """Decode JPEG or PNG bytes at no more than the size that a later, smaller input needs.

    A JPEG is never unpacked at its full size then, which takes half the time, and other threads
    run meanwhile.

    Args:
        data: the file's bytes.
        input_size: (height, width) that the image will be scaled down to cover; None: full size.
        page_locked: unpack a JPEG into memory that a CUDA device reads by itself.

    Raises:
        ImageDecodeError: the bytes are empty, of an unknown format, damaged or cut off.
    """
    try:
        jpeg = jpeg_size(data)
        if jpeg is not None:
            return _reduced_jpeg(data, jpeg, input_size, page_locked)
        with Image.open(io.BytesIO(data)) as image:
            size = (image.height, image.width)
            reduction = 1 if input_size is None else reduction_for(size, input_size)
            return ReducedImage(torch.from_numpy(_rgb(image, reduction)), size, reduction)
    except _DAMAGE as error:
        raise ImageDecodeError(f"cannot decode an image of {len(data)} bytes: {error}") from error


def reduction_for(size: tuple[int, int], input_size: tuple[int, int]) -> int:
    """Largest of 1, 2, 4 and 8 that divides an image exactly and leaves enough to fill an input.

    Exactly: then scaling what is left by `reduction` times the scale places every pixel where
    the full-size image's would lie. Both sizes are (height, width).
    """
    (height, width), (input_height, input_width) = size, input_size
    for reduction in (8, 4, 2):
        divides = height % reduction == 0 and width % reduction == 0
        if divides and height >= reduction * input_height and width >= reduction * input_width:
            return reduction
    return 1


def _reduced_jpeg(
    data: bytes | memoryview,
    size: tuple[int, int],
    input_size: tuple[int, int] | None,
    page_locked: bool,
) -> ReducedImage:
    reduction = 1 if input_size is None else reduction_for(size, input_size)
    shape = (size[0] // reduction, size[1] // reduction, 3)
    pixels = torch.empty(shape, dtype=torch.uint8, pin_memory=page_locked)
    decode_jpeg(data, size, 8 // reduction, pixels.numpy())
    return ReducedImage(pixels, size, reduction)


def _rgb(image: Image.Image, reduction: int) -> NDArray[np.uint8]:
    """uint8 [H, W, 3] of an image that is open but not yet decoded."""
    if image.mode not in _COLOUR_MODES:
        raise ValueError(f"its pixels are of PIL mode '{image.mode}', not 8 bit colours")
    wanted = (image.width // reduction, image.height // reduction)
    if reduction > 1:
        image.draft(None, wanted)  # the JPEG decoder scales while it unpacks
    whole = image if image.mode == "RGB" else image.convert("RGB")
    if whole.size != wanted:
        whole = whole.reduce(reduction)
    return np.array(whole)
