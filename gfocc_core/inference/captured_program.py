"""A frame's program in two steps, launched one kernel at a time or replayed as CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import torch

from gfocc_core.inference.frame_pass import FrameResult
from gfocc_core.model.decoder import Recollection


@dataclass(frozen=True)
class FrameSteps:
    """A frame as functions that read fixed addresses and do the same in every run."""

    recall: Callable[[], Recollection] | None
    """What needs memory and geometry, but no image; None without memory."""
    look: Callable[[Recollection | None], FrameResult]

    def __call__(self) -> FrameResult:
        return self.look(self.recall() if self.recall else None)


class Program(Protocol):
    """Runs a frame's steps."""

    def begin(self) -> None:
        """Memory and geometry are there; the images may still be on their way."""

    def finish(self) -> FrameResult:
        """The images are there as well. Each `begin` is followed by one `finish`, or by none."""


class LaunchedProgram:
    """Launches everything in the end."""

    def __init__(self, steps: FrameSteps) -> None:
        self._steps = steps

    def begin(self) -> None:
        """As Program.begin."""

    def finish(self) -> FrameResult:
        """As Program.finish."""
        return self._steps()


class CapturedProgram:
    """Replays what the steps launched, the first one beside the way of the images to the device.

    A replay's Gaussians lie in the graphs' memory and hold until the next replay; labels, density
    and velocity are copies.
    """

    def __init__(
        self, steps: FrameSteps, device: torch.device, shares: CapturedProgram | None = None
    ) -> None:
        """Capture a program.

        Args:
            steps: have run before, so that nothing compiles while they are captured.
            shares: another one, never replayed at the same time, whose memory pool this one uses.
        """
        self._device = device
        self._beside, capturing = torch.cuda.Stream(device), torch.cuda.Stream(device)
        capturing.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(capturing):
            steps()  # workspaces of this stream
        torch.cuda.current_stream(device).wait_stream(capturing)
        self._recall = torch.cuda.CUDAGraph() if steps.recall else None
        self._look = torch.cuda.CUDAGraph()
        pool = shares._look.pool() if shares else torch.cuda.graph_pool_handle()
        # thread_local: other threads may go on using the device.
        capture = partial(
            torch.cuda.graph, pool=pool, stream=capturing, capture_error_mode="thread_local"
        )
        self._recalled = None  # kept: its memory is what the second graph reads
        if self._recall and steps.recall:
            with capture(self._recall):
                self._recalled = steps.recall()
        with capture(self._look):
            self._result = steps.look(self._recalled)

    def begin(self) -> None:
        """As Program.begin."""
        if self._recall is None:
            return
        self._beside.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._beside):
            self._recall.replay()

    def finish(self) -> FrameResult:
        """As Program.finish."""
        torch.cuda.current_stream(self._device).wait_stream(self._beside)
        self._look.replay()
        velocity = self._result.velocity
        return replace(
            self._result,
            labels=self._result.labels.clone(),
            density=self._result.density.clone(),
            velocity=None if velocity is None else velocity.clone(),
        )
