"""Decode compressed camera images to RGB, strictly: a damaged image is an error, not a grey half."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor


class ImageDecodeError(ValueError):
    """The bytes are not a whole image."""


def decode_image(data: bytes) -> Tensor:
    """Decode JPEG or PNG bytes.

    Returns:
        uint8 [H, W, 3], RGB, on the CPU.

    Raises:
        ImageDecodeError: the bytes are empty, of an unknown format, damaged or cut off.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            pixels = np.array(image.convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise ImageDecodeError(f"cannot decode an image of {len(data)} bytes: {error}") from error
    return torch.from_numpy(pixels)
