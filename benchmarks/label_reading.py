"""How fast processes read a label store together."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from gfocc_core.data.label_store import LabelStore
from gfocc_core.data.weak_labels import WeakLabels

_ROUNDS = 3


def read_rate(folder: Path, processes: int, seconds: float) -> dict[str, float]:
    """Keyframes a second that some processes read and decode together, files in the page cache.

    Of several rounds the best counts: other work on the machine only ever slows reading down. The
    processor time per keyframe says the same on a busy machine.
    """
    rounds = [_read_together(folder, processes, seconds) for _ in range(_ROUNDS)]
    return {
        "reads_per_second": max(rate for rate, _ in rounds),
        "read_cpu_milliseconds": min(milliseconds for _, milliseconds in rounds),
    }


def _read_together(folder: Path, processes: int, seconds: float) -> tuple[float, float]:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes)
    rates = context.SimpleQueue()
    readers = [
        context.Process(target=_read, args=(folder, seconds, barrier, rates))
        for _ in range(processes)
    ]
    for reader in readers:
        reader.start()
    found = [rates.get() for _ in readers]
    for reader in readers:
        reader.join()
    return sum(rate for rate, _ in found), float(np.mean([spent for _, spent in found]))


def _read(folder: Path, seconds: float, barrier: Any, rates: Any) -> None:
    cv2.setNumThreads(0)
    store = LabelStore.open(folder)
    labels, tokens = WeakLabels.empty(store.header.geometry), store.tokens()
    for token in tokens:
        store.read(token, labels)
    barrier.wait()
    count, started, before = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - started < seconds:
        store.read(tokens[count % len(tokens)], labels)
        count += 1
    rate = count / (time.perf_counter() - started)
    rates.put((rate, (time.process_time() - before) / count * 1e3))
