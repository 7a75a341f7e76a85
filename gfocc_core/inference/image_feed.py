"""The images of a frame to the network's input: up to the device as uint8, scaled down there.

Holds the buffers for one set of image sizes. What reads the input knows nothing of these sizes, so
that a program captured for any of them serves all.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gfocc_core.config import ImageConfig
from gfocc_core.frame import Frame
from gfocc_core.inference.image_upload import ImageUpload
from gfocc_core.inference.resize import pack_images, plan_resize, resize_images

Sizes = tuple[tuple[int, int], ...]


class ImageFeed:
    """Only rows that the crop keeps travel.

    A frame must not be uploaded before the device has finished the previous one.
    """

    def __init__(self, sizes: Sizes, image: ImageConfig, device: torch.device) -> None:
        """Args: sizes: (height, width) per camera."""
        self.sizes = sizes
        plan = plan_resize(sizes, image)
        self._plan = plan.to(device)
        self._images = pack_images(sizes, plan, device)
        self._upload = ImageUpload([self._images.camera(index) for index in range(len(sizes))])

    def fits(self, frame: Frame) -> bool:
        """Whether a frame's images have these sizes; missing ones fit any."""
        return all(
            size == known
            for size, known, valid in zip(
                frame.rig.image_sizes, self.sizes, frame.valid, strict=True
            )
            if valid
        )

    def upload(self, frame: Frame) -> None:
        """Copy a frame's images; copies to the device may still be under way on return."""
        self._upload(
            [
                image[first:] if valid else None
                for image, first, valid in zip(
                    frame.images, self._plan.first_rows, frame.valid, strict=True
                )
            ]
        )

    def resize(self, valid: Tensor, out: Tensor) -> None:
        """What was uploaded, as resize.resize_images writes it."""
        resize_images(self._images, valid, self._plan, out)


def sizes_of(frame: Frame, known: Sizes = ()) -> Sizes:
    """(height, width) per camera; a missing camera keeps its known size, else takes another's."""
    present = [
        size for size, valid in zip(frame.rig.image_sizes, frame.valid, strict=True) if valid
    ]
    stand_in = known if len(known) == len(frame.rig) else (present[0],) * len(frame.rig)
    return tuple(
        (size[0], size[1]) if valid else other
        for size, valid, other in zip(frame.rig.image_sizes, frame.valid, stand_in, strict=True)
    )
