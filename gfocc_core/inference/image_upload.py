"""Images from pageable memory to the device, one camera's way there under the next one's copy.

The copies on the host are made by a few of OpenMP's threads. All of them would be no faster, and
they spin for the next job: where a machine may use less than the processors that it sees, it is
halted for that, for tens of milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

_MOST_THREADS = 6


class ImageUpload:
    """Copies images by way of page-locked buffers."""

    def __init__(self, places: Sequence[Tensor]) -> None:
        """Args: places: uint8 [rows, width, 3] per camera, on the device."""
        self._places = tuple(places)
        pinned = any(place.device.type == "cuda" for place in places)
        self._staging = tuple(
            torch.empty(place.shape, dtype=torch.uint8, pin_memory=pinned) for place in places
        )

    def __call__(self, images: Sequence[Tensor | None]) -> None:
        """Copy each camera's image; None leaves its place as it is.

        Copies to the device may still be under way on return; the buffers must not be filled
        again before they have ended.
        """
        with _few_threads():
            for place, buffer, image in zip(self._places, self._staging, images, strict=True):
                if image is None:
                    continue
                if image.device.type == "cpu" and not image.is_pinned():
                    image = buffer.copy_(image)
                place.copy_(image, non_blocking=True)


@contextmanager
def _few_threads() -> Iterator[None]:
    usual = torch.get_num_threads()
    torch.set_num_threads(min(usual, _MOST_THREADS))
    try:
        yield
    finally:
        torch.set_num_threads(usual)
