"""sensor_msgs images, raw or compressed, to uint8 RGB tensors no larger than needed.

Called by the frame builder's decoding threads.
"""

from __future__ import annotations

import torch
from sensor_msgs.msg import CompressedImage, Image

from gfocc_core.images import ReducedImage, decode_reduced, reduction_for
from gfocc_ros.frames.raw_images import decode_raw


def rgb_from_message(
    message: Image | CompressedImage,
    input_size: tuple[int, int] | None = None,
    *,
    page_locked: bool = False,
) -> ReducedImage:
    """Decode a camera image, no larger than a later, smaller input needs.

    Of 16 bits per channel the upper 8 are kept. Full-size rgb8 shares the message's memory.

    Args:
        message: raw or compressed.
        input_size: (height, width) that the image will be scaled down to cover; None: full size.
        page_locked: unpack JPEGs into memory that a CUDA device reads by itself.

    Raises:
        ImageDecodeError: an unknown encoding, bytes that do not fit the stated size, or
            compressed data that is damaged.
    """
    if isinstance(message, CompressedImage):
        return decode_reduced(memoryview(message.data), input_size, page_locked=page_locked)
    size = (message.height, message.width)
    reduction = 1 if input_size is None else reduction_for(size, input_size)
    pixels = decode_raw(message, reduction)
    writeable = pixels if pixels.flags.writeable else pixels.copy()
    return ReducedImage(torch.from_numpy(writeable), size, reduction)
