"""Where a frame's time goes, without holding the frame up.

A clock is started with a frame, marked at the end of every stage, and read when the device has
finished.
"""

from __future__ import annotations

import time

import torch


class FrameClock:
    """Times whole frames only."""

    def __init__(self) -> None:
        self._started = time.perf_counter()

    def start(self) -> None:
        """A frame begins."""
        self._started = time.perf_counter()

    def mark(self, stage: str) -> None:
        """The work of a stage has been given to the device."""

    def read(self) -> dict[str, float]:
        """Milliseconds per stage in their order, then `total` on the host's clock until now."""
        total = (time.perf_counter() - self._started) * 1e3
        return self._stages() | {"total": total}

    def _stages(self) -> dict[str, float]:
        return {}


class HostStageClock(FrameClock):
    """Times stages that have run when they are marked, as on a CPU."""

    def __init__(self) -> None:
        super().__init__()
        self._laps: dict[str, float] = {}
        self._last = self._started

    def start(self) -> None:
        super().start()
        self._laps.clear()
        self._last = self._started

    def mark(self, stage: str) -> None:
        now = time.perf_counter()
        self._laps[stage] = (now - self._last) * 1e3
        self._last = now

    def _stages(self) -> dict[str, float]:
        return dict(self._laps)


class DeviceStageClock(FrameClock):
    """Times stages by CUDA events in the current stream; a CUDA graph captures the events too."""

    def __init__(self) -> None:
        super().__init__()
        self._begin = _event()
        self._ends: dict[str, torch.cuda.Event] = {}

    def start(self) -> None:
        super().start()
        self._begin.record()

    def mark(self, stage: str) -> None:
        if stage not in self._ends:
            self._ends[stage] = _event()
        self._ends[stage].record()

    def _stages(self) -> dict[str, float]:
        begins = (self._begin, *self._ends.values())
        return {
            stage: before.elapsed_time(end)
            for before, (stage, end) in zip(begins, self._ends.items(), strict=False)
        }


def _event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True, external=True)


def clock_for(device: torch.device, stages: bool) -> FrameClock:
    """The clock for frames on a device; `stages`: whether it times stages too."""
    if not stages:
        return FrameClock()
    return DeviceStageClock() if device.type == "cuda" else HostStageClock()
