"""Label keyframes one after the other: read ahead, run the network, write behind.

A plain loop and not Lightning's prediction loop, which keeps or hands around what it predicts, cuts
work by rank only at the start and ends on the first bad sample. Here a keyframe is the unit: what is
in the store is done, so a run that was killed, repeated or met by another does only what is missing,
and any number of processes on any number of machines share a dataset by --shard alone.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from gfocc_core.data.index import SceneIndex
from gfocc_core.data.label_store import OBJECT_SUFFIX, LabelStore
from gfocc_core.data.weak_labels import LabelGeometry, WeakLabels
from gfocc_core.labelling.keyframe_images import KeyframeImages, iter_keyframe_images
from gfocc_core.labelling.progress import Progress
from gfocc_core.labelling.protocols import KeyframeLabeller, LabellingError

_UNWRITTEN = 2
"""Keyframes that may wait for the disk; a killed process loses these and the current one."""


@dataclass
class RunReport:
    """What a run did."""

    written: int = 0
    already_there: int = 0
    bytes: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    """(token, reason) of keyframes that were left out for what is wrong with their files."""


class StoreWriter:
    """Writes labels behind the caller's back, in order, a bounded number of them.

    Use as a context; leaving it waits for the disk. Raises LabellingError for a full disk.
    """

    def __init__(self, store: LabelStore, report: RunReport, progress: Progress) -> None:
        self._store, self._report, self._progress = store, report, progress
        self._pool = ThreadPoolExecutor(1, "writer")
        self._disk_failed = False
        self._pending: deque[Future[int]] = deque()

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            while self._pending and kind is None:
                self._collect()
        finally:
            # what is labelled already is still written where something else went wrong
            self._pool.shutdown(cancel_futures=self._disk_failed)

    def write(self, token: str, labels: WeakLabels) -> None:
        """Queue labels; waits while too many are queued; raises what an earlier write raised."""
        while len(self._pending) >= _UNWRITTEN:
            self._collect()
        self._pending.append(self._pool.submit(self._write, token, labels))

    def _write(self, token: str, labels: WeakLabels) -> int:
        self._store.write(token, labels)
        return object_size(self._store, token)

    def _collect(self) -> None:
        try:
            size = self._pending.popleft().result()
        except OSError as error:
            self._disk_failed = True
            raise stopped_by_disk(self._store, self._report, error) from error
        self._report.written += 1
        self._report.bytes += size
        self._progress.add(size)


def object_size(store: LabelStore, token: str) -> int:
    """Bytes of a keyframe's labels."""
    return (store.path / f"{token}{OBJECT_SUFFIX}").stat().st_size


def generate(
    index: SceneIndex,
    store: LabelStore,
    labeller: KeyframeLabeller,
    positions: Sequence[int],
    *,
    threads: int = 4,
    progress_label: str = "labels",
) -> RunReport:
    """Label the keyframes at some positions, as far as the store lacks them.

    Keyframes with a file that is missing or corrupt are left out and reported; cameras that a
    keyframe lacks get no label.

    Args:
        index: The dataset; its cameras are those of the store, in the same order.
        store: Where labels go.
        labeller: What makes them.
        positions: Which keyframes.
        threads: How many decode images.
        progress_label: Begins the lines of progress.

    Raises:
        LabellingError: a full disk or another failure to write (what was written stays), or a
            model that returns what it must not.
    """
    there = set(store.tokens())
    missing = [position for position in positions if index.tokens[position] not in there]
    report = RunReport(already_there=len(positions) - len(missing))
    progress = Progress(len(positions), report.already_there, progress_label)
    try:
        with StoreWriter(store, report, progress) as writer:
            for keyframe in iter_keyframe_images(
                index, missing, lambda token: not store.has(token), threads
            ):
                if keyframe is None or store.has(keyframe.token):  # another process was faster
                    report.already_there += 1
                    progress.add(0)
                elif keyframe.problem is not None:
                    report.failures.append((keyframe.token, keyframe.problem))
                    progress.add(0)
                else:
                    writer.write(keyframe.token, label_keyframe(keyframe, store, labeller))
    finally:
        progress.finish()
    return report


def label_keyframe(
    keyframe: KeyframeImages, store: LabelStore, labeller: KeyframeLabeller
) -> WeakLabels:
    """Run the labeller on the cameras that the keyframe has; zeros for the others."""
    whole = store.header.geometry
    cameras = tuple(whole.cameras[number] for number in keyframe.cameras)
    geometry = LabelGeometry(whole.height, whole.width, cameras)
    try:
        found: Tensor = labeller.label(keyframe.images, geometry, keyframe.intrinsics)
    except LabellingError as error:
        raise LabellingError(f"keyframe '{keyframe.token}': {error}") from error
    labels = WeakLabels(np.zeros(whole.shape, np.uint8), np.zeros(whole.shape, np.float32))
    target = labels.semantics if labeller.kind == "semantics" else labels.depth
    target[list(keyframe.cameras)] = found.numpy()
    return labels


def stopped_by_disk(store: LabelStore, report: RunReport, error: OSError) -> LabellingError:
    """What to raise where a write failed: says why, and that nothing is lost."""
    kept = f"the {report.written} keyframes written before are safe; the same command goes on"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = os.statvfs(store.path)
        return LabellingError(
            f"the disk of '{store.path}' is full ({free.f_bavail * free.f_frsize / 1e6:.1f} MB "
            f"left): {kept} when there is room"
        )
    return LabellingError(f"labels cannot be written to '{store.path}': {error}; {kept}")
