"""Frames from fixed buffers: what a CUDA graph needs, in bfloat16 and compiled if asked for."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import partial

import torch

from gfocc_core.config import Config
from gfocc_core.frame import Frame
from gfocc_core.gaussians import Gaussians
from gfocc_core.inference.captured_program import (
    CapturedProgram,
    FrameSteps,
    LaunchedProgram,
    Program,
)
from gfocc_core.inference.config import InferenceConfig
from gfocc_core.inference.frame_inputs import FrameInputs
from gfocc_core.inference.frame_pass import FrameResult, decode, occupancy, velocities
from gfocc_core.inference.prepared_network import prepare_network
from gfocc_core.inference.stage_clock import FrameClock
from gfocc_core.model import GaussianFlowNetwork
from gfocc_core.model.decoder import Recollection
from gfocc_core.temporal import TemporalState

_log = logging.getLogger(__name__)


class StaticRunner:
    """Runs a prepared copy of the network on buffers for one number of cameras at a time.

    There is one program for frames with memory, one for those without, and two more with
    velocities, each made when first needed; another number of cameras or configuration drops
    them. What cannot be compiled or captured runs without it, with one line in the log.
    """

    def __init__(
        self,
        network: GaussianFlowNetwork,
        inference: InferenceConfig,
        device: torch.device,
        clock: FrameClock,
    ) -> None:
        self._plain_network, self._inference = network, inference
        self._network = prepare_network(network, inference)
        self._dtype = torch.bfloat16 if inference.precision == "bfloat16" else torch.float32
        self._device, self._clock = device, clock
        self._config: Config | None = None
        self._inputs: FrameInputs | None = None
        self._programs: dict[tuple[bool, bool], Program] = {}

    def run(
        self, frame: Frame, past: TemporalState | None, config: Config, velocity: bool
    ) -> FrameResult:
        """As FrameRunner.run."""
        inputs = self._inputs_for(frame, config)
        key = (past is not None, velocity)
        program = self._programs.get(key)
        inputs.load_past(frame, past)
        if program is not None:
            program.begin()
        inputs.upload(frame)
        self._clock.mark("upload")
        inputs.resize()
        self._clock.mark("preprocess")
        if program is None:
            program = self._programs[key] = self._made(self._steps(inputs, config, *key))
            program.begin()
        return program.finish()

    def _inputs_for(self, frame: Frame, config: Config) -> FrameInputs:
        inputs = self._inputs
        same = config is self._config or config == self._config
        if not same or inputs is None or not inputs.fit(frame):
            # Graphs and buffers go before new ones come: both at once would double the memory.
            self._programs.clear()
            inputs = self._inputs = None
            captured = self._inference.cuda_graph
            inputs = FrameInputs(len(frame.rig), config, self._device, self._dtype, captured)
            self._inputs, self._config = inputs, config
        return inputs

    def _steps(
        self, inputs: FrameInputs, config: Config, with_memory: bool, velocity: bool
    ) -> FrameSteps:
        """A frame from the buffers; alike whenever it runs, and without a look at the device."""
        recall = partial(self._recall, inputs) if with_memory else None
        return FrameSteps(recall, partial(self._look, inputs, config, velocity))

    def _recall(self, inputs: FrameInputs) -> Recollection:
        with self._autocast():
            return self._network.recall(1, inputs.memory())

    def _look(
        self, inputs: FrameInputs, config: Config, velocity: bool, recalled: Recollection | None
    ) -> FrameResult:
        with self._autocast():
            levels = self._network.encode(inputs.images())
            self._clock.mark("encode")
            if recalled is None:
                gaussians = decode(self._network, levels, inputs.view(), None)
            else:
                gaussians = self._network.look(levels, inputs.view(), recalled)
            speeds = velocities(self._network, gaussians, config) if velocity else None
        exact = {f.name: getattr(gaussians, f.name)[0].float() for f in fields(gaussians)}
        only = Gaussians(**exact)
        self._clock.mark("decode")
        result = FrameResult(*occupancy(only, speeds, config), only)
        self._clock.mark("voxelize")
        return result

    def _autocast(self) -> torch.autocast:
        half = self._dtype == torch.bfloat16
        return torch.autocast(self._device.type, self._dtype, enabled=half, cache_enabled=False)

    def _made(self, steps: FrameSteps) -> Program:
        """The program, captured if that is asked for and works."""
        with _fastest_kernels():
            self._run_once(steps)
            captures = self._inference.cuda_graph
            program = self._captured(steps) if captures else LaunchedProgram(steps)
        if self._device.type == "cuda":
            torch.cuda.empty_cache()  # compilers and the first run need more than frames do
        return program

    def _captured(self, steps: FrameSteps) -> Program:
        captured = (p for p in self._programs.values() if isinstance(p, CapturedProgram))
        try:
            return CapturedProgram(steps, self._device, next(captured, None))
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # a driver or operator that cannot be captured
            _log.warning("frames run without a CUDA graph: %s", _first_line(error))
            self._inference = replace(self._inference, cuda_graph=False)
            return LaunchedProgram(steps)

    def _run_once(self, steps: FrameSteps) -> None:
        """Compile everything; without compilation, should that fail."""
        try:
            steps()
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # compilers fail in many ways
            if self._inference.compile == "off":
                raise
            _log.warning("the network runs without torch.compile: %s", _first_line(error))
            self._inference = replace(self._inference, compile="off")
            self._network = prepare_network(self._plain_network, self._inference)
            steps()


@contextmanager
def _fastest_kernels() -> Iterator[None]:
    """What is compiled or captured inside keeps these choices.

    cuDNN times its algorithms for each convolution. Attention is Flash Attention's: few queries
    look at many keys here, which it splits among the processors and cuDNN does not (500 at
    10 000: 35 instead of 101 us on an H100).
    """
    timed, attention = torch.backends.cudnn.benchmark, torch.backends.cuda.cudnn_sdp_enabled()
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.enable_cudnn_sdp(False)
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = timed
        torch.backends.cuda.enable_cudnn_sdp(attention)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"
