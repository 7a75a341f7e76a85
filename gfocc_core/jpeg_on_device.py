"""JPEGs unpacked by a GPU, which has engines for it, straight into its own memory.

torchvision calls nvJPEG. An H100 takes 1.3 ms for six images of 1600 x 900, copies included, one
of its host's cores 6 ms for one. Used by the node's decoders.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import simplejpeg
import torch
from torch import Tensor

_log = logging.getLogger(__name__)

_LARGE = (1080, 1920)
"""(height, width) of what a device makes itself ready with: its buffers grow when larger images come,
and the first of these would be late."""


def decodes_jpegs(device: torch.device, count: int) -> bool:
    """Whether a device is a GPU that can, so many at once; it is ready to do so then.

    Says why, should it fail.
    """
    if device.type != "cuda":
        return False
    blank = np.zeros((*_LARGE, 3), dtype=np.uint8)
    sample = simplejpeg.encode_jpeg(blank, colorspace="RGB", colorsubsampling="420")
    try:
        decode_jpegs([sample] * count, device)
    except (ImportError, RuntimeError) as error:
        first = str(error).partition("\n")[0]
        _log.warning("JPEGs are decoded on the CPU, %s cannot: %s", device, first)
        return False
    return True


def decode_jpegs(files: Sequence[bytes | memoryview], device: torch.device) -> list[Tensor]:
    """Unpack JPEGs of any sizes at once; ready for the calling thread's current stream.

    A damaged file may give a damaged picture: `gfocc_core.jpeg.check_jpeg` tells.

    Args:
        files: one at least.
        device: a CUDA device, or the CPU for comparison.

    Returns:
        uint8 [height, width, 3] each, RGB, on the device; not contiguous.

    Raises:
        RuntimeError: the device cannot decode one of them.
    """
    from torchvision.io import ImageReadMode, decode_jpeg  # slow to import, needed on GPUs only

    encoded = [torch.from_numpy(_writeable(data)) for data in files]
    planes: list[Tensor] = decode_jpeg(encoded, ImageReadMode.RGB, device)
    return [image.permute(1, 2, 0) for image in planes]


def _writeable(data: bytes | memoryview) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The bytes as an array; a copy where torch would warn that they are constant."""
    array = np.frombuffer(data, dtype=np.uint8)
    return array if array.flags.writeable else array.copy()
