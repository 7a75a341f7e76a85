"""How long a piece of GPU or CPU work takes, what memory it needs, whether it repeats to the bit.

A piece of work comes as several callables that do the same on different inputs; they take turns,
so that no run finds its own inputs in the caches. Each returns the tensors that it made.
"""

from __future__ import annotations

import contextlib
import functools
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Work = Callable[[], tuple[Tensor, ...]]
Launch = Callable[[], object]

WARM_UP_RUNS = 3
FEWEST_RUNS = 3
RUNS_AHEAD = 50
HEAD_START_CYCLES = 10_000_000
"""The GPU idles for some 5 ms while the host fills its queue with RUNS_AHEAD runs."""


@dataclass(frozen=True)
class Times:
    """Milliseconds of some runs."""

    median_ms: float
    p99_ms: float
    runs: int

    @classmethod
    def of(cls, milliseconds: Sequence[float]) -> Times:
        ordered = sorted(milliseconds)
        rank = math.ceil(0.99 * len(ordered)) - 1
        return cls(statistics.median(ordered), ordered[rank], len(ordered))


@dataclass(frozen=True)
class Measurement:
    """What one piece of work costs; None is what this device or this work has not."""

    plain: Times
    """Started from Python while the device is idle: what a caller waits for, launches included."""
    replay: Times | None
    """Replay of a CUDA graph from a full queue: GPU time only."""
    cold: Times | None
    """The same, the L2 cache overwritten before each run."""
    extra_mib: float | None
    """Most GPU memory allocated during a run, less the outputs."""
    repetitions: int
    """Runs on the same inputs that were compared bit for bit with a first one."""
    equal_runs: int
    """How many of them gave the same."""


def measure(
    works: Sequence[Work],
    device: torch.device,
    *,
    repeats: int,
    seconds: float,
    capture: bool,
    repetitions: int = 0,
) -> Measurement:
    """Measure work.

    Args:
        works: the same work on different inputs.
        repeats: timed runs of each kind, fewer once `seconds` are over.
        capture: whether CUDA graphs can hold the work (no waiting for the device in it).
        repetitions: runs on the same inputs that are compared bit for bit.
    """
    for work in works:
        for _ in range(WARM_UP_RUNS if device.type == "cuda" else 1):
            work()
    replay = cold = None
    if device.type == "cuda":
        plain = Times.of(_waited_for(works, repeats, seconds))
        captured = _all_captured(works) if capture else []
        if captured:
            replays: list[Launch] = [graph.replay for graph, _ in captured]
            replay = Times.of(_queued(replays, repeats, seconds))
            cold = Times.of(_queued(replays, repeats, seconds, _cache_overwriter(device)))
    else:
        plain = Times.of(_on_the_cpu(works, repeats, seconds))
    return Measurement(
        plain=plain,
        replay=replay,
        cold=cold,
        extra_mib=_extra_mib(works[0]) if device.type == "cuda" else None,
        repetitions=repetitions,
        equal_runs=_equal_runs(works[0], repetitions),
    )


@contextlib.contextmanager
def own_stream(device: torch.device) -> Iterator[None]:
    """Everything inside runs on one CUDA stream that graphs can be captured from.

    Autograd runs a backward on the stream of its forward, so both must be inside.
    """
    if device.type != "cuda":
        yield
        return
    with torch.cuda.stream(torch.cuda.Stream(device)):
        yield
        torch.cuda.synchronize(device)


def backward_work(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], upstream: Sequence[Tensor]
) -> Work:
    """The backward of outputs that exist already, again and again."""
    return functools.partial(
        torch.autograd.grad, tuple(outputs), tuple(inputs), tuple(upstream), retain_graph=True
    )


def largest_difference(found: Tensor, wanted: Tensor) -> float:
    """Largest absolute difference, computed in float64; NaN if either holds one."""
    return float((found.double() - wanted.double()).abs().max())


def relative_difference(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> float:
    """Largest difference of any tensor over that tensor's largest number."""
    return max(
        largest_difference(one, other) / float(other.abs().max())
        for one, other in zip(found, wanted, strict=True)
    )


def relative_norm(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> float:
    """Largest norm of the difference of any tensor over that tensor's norm."""
    return max(
        float((one.double() - other.double()).norm() / other.double().norm())
        for one, other in zip(found, wanted, strict=True)
    )


def _on_the_cpu(works: Sequence[Work], repeats: int, seconds: float) -> list[float]:
    milliseconds: list[float] = []
    for number in _until(repeats, seconds):
        began = time.perf_counter()
        works[number % len(works)]()
        milliseconds.append(1e3 * (time.perf_counter() - began))
    return milliseconds


def _waited_for(works: Sequence[Work], repeats: int, seconds: float) -> list[float]:
    milliseconds: list[float] = []
    begin, end = _events()
    for number in _until(repeats, seconds):
        torch.cuda.synchronize()
        begin.record()
        works[number % len(works)]()
        end.record()
        end.synchronize()
        milliseconds.append(begin.elapsed_time(end))
    return milliseconds


def _queued(
    launches: Sequence[Launch], repeats: int, seconds: float, before: Launch | None = None
) -> list[float]:
    """GPU milliseconds of each launch; the host runs ahead, so that none includes waiting for it."""
    milliseconds: list[float] = []
    for first in _until(repeats, seconds, RUNS_AHEAD):
        numbers = range(first, min(first + RUNS_AHEAD, repeats))
        pairs = [_events() for _ in numbers]
        torch.cuda._sleep(HEAD_START_CYCLES)
        for number, (begin, end) in zip(numbers, pairs, strict=True):
            if before is not None:
                before()
            begin.record()
            launches[number % len(launches)]()
            end.record()
        torch.cuda.synchronize()
        milliseconds += [begin.elapsed_time(end) for begin, end in pairs]
    return milliseconds


def _until(repeats: int, seconds: float, step: int = 1) -> Iterator[int]:
    """Numbers of the runs, by `step`; FEWEST_RUNS of them come even when the seconds are over."""
    deadline = time.perf_counter() + seconds
    for number in range(0, repeats, step):
        if number >= FEWEST_RUNS and time.perf_counter() > deadline:
            return
        yield number


def _events() -> tuple[torch.cuda.Event, torch.cuda.Event]:
    return torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)


def _all_captured(works: Sequence[Work]) -> list[tuple[torch.cuda.CUDAGraph, tuple[Tensor, ...]]]:
    """Graphs of the works; says why if there can be none."""
    try:
        return [_captured(work) for work in works]
    except RuntimeError as error:
        print(f"not captured in a CUDA graph: {str(error).splitlines()[0]}", file=sys.stderr)
        return []


def _captured(work: Work) -> tuple[torch.cuda.CUDAGraph, tuple[Tensor, ...]]:
    """A CUDA graph of the work and its static outputs."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
        outputs = work()
    return graph, outputs


def _cache_overwriter(device: torch.device) -> Launch:
    size = 2 * torch.cuda.get_device_properties(device).L2_cache_size
    return torch.empty(size, dtype=torch.uint8, device=device).zero_


def _extra_mib(work: Work) -> float:
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    outputs = work()
    torch.cuda.synchronize()
    peak = torch.cuda.max_memory_allocated()
    return max(0, peak - before - sum(output.nbytes for output in outputs)) / 2**20


def _equal_runs(work: Work, repetitions: int) -> int:
    if not repetitions:
        return 0
    first = [output.clone() for output in work()]
    return sum(
        all(torch.equal(one, other) for one, other in zip(work(), first, strict=True))
        for _ in range(repetitions)
    )
