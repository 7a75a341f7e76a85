"""Images from pageable memory to the device, several cameras at a time.

Torch copies on the host with all of OpenMP's threads, which then spin for the next job: where a
container may use fewer processors than it sees, the kernel halts the process for it, for tens of
milliseconds. These threads sleep instead.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

import numpy as np
import torch
from torch import Tensor

_MOST_THREADS = 6
"""Memory is the limit from here on."""


class ImageUpload:
    """Copies images by way of page-locked buffers, so that one's way to the device overlaps the
    next one's way there."""

    def __init__(self, places: Sequence[Tensor]) -> None:
        """Args: places: uint8 [rows, width, 3] per camera, on the device."""
        self._places = tuple(places)
        pinned = any(place.device.type == "cuda" for place in places)
        self._staging = tuple(
            torch.empty(place.shape, dtype=torch.uint8, pin_memory=pinned) for place in places
        )
        threads = max(1, min(_MOST_THREADS, len(places), (os.cpu_count() or 1) - 1))
        self._threads = ThreadPoolExecutor(threads, "image-upload")
        self._images: Sequence[Tensor | None] = (None,) * len(places)
        self._copies: list[Future[None] | None] = [None] * len(places)

    def start(self, images: Sequence[Tensor | None]) -> None:
        """Begin to copy each camera's image; None leaves its place as it is.

        The device must have finished with the images before these.
        """
        wait([copy for copy in self._copies if copy])  # of a frame that was given up
        self._images = images
        self._copies = [
            self._threads.submit(_copy, buffer, image)
            if image is not None and image.device.type == "cpu" and not image.is_pinned()
            else None
            for buffer, image in zip(self._staging, images, strict=True)
        ]

    def finish(self) -> None:
        """Give the device all copies that it is to make, in the current stream."""
        for index, (image, copy) in enumerate(zip(self._images, self._copies, strict=True)):
            if copy is not None:
                copy.result()
                image = self._staging[index]
            if image is not None:
                self._places[index].copy_(image, non_blocking=True)
        self._images = (None,) * len(self._places)


def _copy(buffer: Tensor, image: Tensor) -> None:
    np.copyto(buffer.numpy(), image.numpy(), casting="no")
