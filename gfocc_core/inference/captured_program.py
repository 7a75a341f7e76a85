"""One CUDA graph in place of a program's launches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from gfocc_core.inference.frame_pass import FrameResult

Program = Callable[[], FrameResult]


class CapturedProgram:
    """Replays what a program launched; the program must read fixed addresses and run twice alike.

    A replay's Gaussians lie in the graph's memory and hold until the next replay; labels, density
    and velocity are copies.
    """

    def __init__(
        self, program: Program, device: torch.device, shares: CapturedProgram | None = None
    ) -> None:
        """Capture a program.

        Args:
            program: has run before, so that nothing compiles while it is captured.
            shares: another one, never replayed at the same time, whose memory pool this one uses.
        """
        self._graph = torch.cuda.CUDAGraph()
        pool = shares._graph.pool() if shares else None
        stream = torch.cuda.Stream(device)
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            program()  # workspaces of this stream
        torch.cuda.current_stream(device).wait_stream(stream)
        # Other threads may go on using the device.
        with torch.cuda.graph(self._graph, pool, stream, capture_error_mode="thread_local"):
            self._result = program()

    def __call__(self) -> FrameResult:
        self._graph.replay()
        velocity = self._result.velocity
        return replace(
            self._result,
            labels=self._result.labels.clone(),
            density=self._result.density.clone(),
            velocity=None if velocity is None else velocity.clone(),
        )
