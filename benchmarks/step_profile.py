"""Where the time of a training step goes: by stage and by operation, from torch's profiler."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile, record_function

from gfocc_core.training.module import OccupancyLearner

ALL = "all"
_BACKWARD = "backward and the rest"
_OPTIMIZER = "Optimizer.step"


@dataclass(frozen=True)
class StepProfile:
    """Milliseconds of one step, the device's own where it is a GPU."""

    stages: dict[str, float]
    """Forward by part (with and without gradient), optimizer, what remains; ALL is their sum."""
    operations: dict[str, float]
    """The longest ones; ALL is the sum of all of them."""
    wall: float
    """From beginning to end, with the profiler running."""


def profile_step(
    step: Callable[[], None], learner: OccupancyLearner, device: torch.device, most: int
) -> StepProfile:
    """Run one step under the profiler; `most` operations are kept."""
    on_gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with _named_stages(learner), profile(activities=activities) as profiler:
        began = time.perf_counter()
        step()
        if on_gpu:
            torch.cuda.synchronize()
        wall = 1e3 * (time.perf_counter() - began)
    own = {
        event.key: (event.self_device_time_total if on_gpu else event.self_cpu_time_total) / 1e3
        for event in profiler.key_averages()
        # On a GPU an operation's time is that of its kernels, which are listed too.
        if event.device_type.name == "CPU"
    }
    whole = sum(own.values())
    longest = sorted(own.items(), key=lambda pair: -pair[1])[:most]
    return StepProfile(
        _stages(profiler.events(), whole, on_gpu), {ALL: whole, **dict(longest)}, wall
    )


def _stages(events: Any, whole: float, on_gpu: bool) -> dict[str, float]:
    stages: dict[str, float] = {}
    for event in events:
        name = _stage_name(event)
        if name is None or event.device_type.name != "CPU":
            continue
        taken = (event.device_time_total if on_gpu else event.cpu_time_total) / 1e3
        stages[name] = stages.get(name, 0.0) + taken
    return {ALL: whole, **stages, _BACKWARD: whole - sum(stages.values())}


def _stage_name(event: FunctionEvent) -> str | None:
    if event.name.startswith(_OPTIMIZER):
        return "optimizer"
    return event.name.removeprefix("stage: ") if event.name.startswith("stage: ") else None


@contextmanager
def _named_stages(learner: OccupancyLearner) -> Iterator[None]:
    """Names the parts of the forward pass for the profiler."""
    network: Any = learner.network
    with (
        mock.patch.object(network, "encode", _named("encode", network.encode)),
        mock.patch.object(network, "decode", _named("decode", network.decode)),
        mock.patch.object(learner, "render", _named("render", learner.render)),
    ):
        yield


def _named(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def named(*arguments: Any) -> Any:
        when = "" if torch.is_grad_enabled() else " of the past"
        with record_function(f"stage: {name}{when}"):
            return call(*arguments)

    return named
