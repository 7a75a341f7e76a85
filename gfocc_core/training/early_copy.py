"""A scalar's way from the GPU to the host without waiting for what was queued after it."""

from __future__ import annotations

import torch
from torch import Tensor


class EarlyCopy:
    """Holds a scalar as it is now; reading it later waits for its own computation only.

    `float(tensor)` after a backward pass is queued would wait for that pass too, and leave the GPU
    without work until the next step is queued.
    """

    def __init__(self, scalar: Tensor) -> None:
        scalar = scalar.detach()
        self._copied: torch.cuda.Event | None = None
        if scalar.device.type != "cuda":
            self._value = scalar
            return
        self._value = torch.empty_like(scalar, device="cpu", pin_memory=True)
        side, self._copied = torch.cuda.Stream(scalar.device), torch.cuda.Event()
        side.wait_stream(torch.cuda.current_stream(scalar.device))
        with torch.cuda.stream(side):
            self._value.copy_(scalar, non_blocking=True)
            self._copied.record()
        scalar.record_stream(side)

    def read(self) -> float:
        if self._copied is not None:
            self._copied.synchronize()
        return float(self._value)
