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
        self._staging: dict[int, Tensor] = {}

    def __call__(self, images: Sequence[Tensor | None]) -> None:
        """Copy each camera's image; None leaves its place as it is.

        Copies to the device may still be under way on return; the buffers must not be filled
        again before they have ended.
        """
        with _few_threads():
            for index, (place, image) in enumerate(zip(self._places, images, strict=True)):
                if image is None:
                    continue
                if image.device.type == "cpu" and not image.is_pinned():
                    image = self._staged(index, image)
                place.copy_(image, non_blocking=True)

    def _staged(self, index: int, image: Tensor) -> Tensor:
        """A camera's image in its page-locked buffer."""
        if index not in self._staging:
            pinned = self._places[index].device.type == "cuda"
            self._staging[index] = torch.empty_like(image, pin_memory=pinned)
        return self._staging[index].copy_(image)


@contextmanager
def _few_threads() -> Iterator[None]:
    usual = torch.get_num_threads()
    torch.set_num_threads(min(usual, _MOST_THREADS))
    try:
        yield
    finally:
        torch.set_num_threads(usual)
