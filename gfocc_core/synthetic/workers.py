"""Share keyframes out to processes, and end cleanly whatever happens to one of them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import cv2
import torch

from gfocc_core.data.scenes import DatasetError
from gfocc_core.synthetic.config import ScenePlan, SyntheticConfig
from gfocc_core.synthetic.keyframe import KeyframeMaker

_POLL_S = 0.2
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Chunk:
    """Some keyframes of one scene."""

    plan: ScenePlan
    numbers: tuple[int, ...]


def share_out(pending: Sequence[Chunk], processes: int) -> list[Chunk]:
    """Whole scenes while there are enough for all processes, the last ones in pieces."""
    whole = len(pending) - len(pending) % processes
    chunks = list(pending[:whole])
    for chunk in pending[whole:]:
        size = -(-len(chunk.numbers) // processes)
        chunks.extend(
            Chunk(chunk.plan, chunk.numbers[start : start + size])
            for start in range(0, len(chunk.numbers), size)
        )
    return chunks


def make_keyframes(
    config: SyntheticConfig,
    pending: Sequence[Chunk],
    processes: int,
    on_keyframe: Callable[[int], None],
) -> None:
    """Make all pending keyframes.

    Args:
        config: The dataset's.
        pending: At most one chunk per scene.
        processes: How many; 1 works in this process.
        on_keyframe: Called now and then with the number of keyframes made so far.

    Raises:
        DatasetError: a worker died.
        OSError: from the file system.
        KeyboardInterrupt: once every worker has finished the keyframe it was at.
    """
    if processes == 1:
        done = 0
        for chunk in pending:
            maker = KeyframeMaker(config, chunk.plan)
            for number in chunk.numbers:
                maker.make(number)
                done += 1
                on_keyframe(done)
        return
    context = multiprocessing.get_context("spawn")
    stop, counter = context.Event(), context.Value("q", 0)
    with (
        _one_thread_each(),
        ProcessPoolExecutor(processes, context, _start_worker, (stop, counter)) as pool,
    ):
        try:
            with _deaf_to_interrupts():  # as are the processes that this starts
                waiting = {
                    pool.submit(_make_chunk, config, chunk)
                    for chunk in share_out(pending, processes)
                }
            while waiting:
                waiting = _wait_a_little(waiting)
                on_keyframe(int(counter.value))
        except BrokenProcessPool as error:
            raise DatasetError(
                "a worker process died (killed, or out of memory); the same command goes on "
                "where it stopped"
            ) from error
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)


def _wait_a_little(waiting: set[Future[None]]) -> set[Future[None]]:
    done, still = wait(waiting, _POLL_S, FIRST_EXCEPTION)
    for future in done:
        future.result()
    return still


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let the processes that are started meanwhile use one thread each for linear algebra."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Ignore Ctrl-C for a moment; only the main thread can, and only it would be interrupted."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


_shared: dict[str, Any] = {}
"""Of a worker: `stop`, an event, and `counter`, of finished keyframes."""


def _start_worker(stop: Any, counter: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent tells when to stop
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    _shared.update(stop=stop, counter=counter)


def _make_chunk(config: SyntheticConfig, chunk: Chunk) -> None:
    parent = multiprocessing.parent_process()
    maker = None
    for number in chunk.numbers:
        if _shared["stop"].is_set() or (parent is not None and not parent.is_alive()):
            return
        maker = maker or KeyframeMaker(config, chunk.plan)
        maker.make(number)
        with _shared["counter"].get_lock():
            _shared["counter"].value += 1
