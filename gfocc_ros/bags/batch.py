"""Convert several scenes at once, each in a process of its own and into a bag of its own.

A run can be repeated: bags that are finished stay, what was interrupted is done again.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch

from gfocc_core.data.scenes import DatasetError
from gfocc_ros.bags.command import BagError, interrupt_once
from gfocc_ros.bags.content import BagContent
from gfocc_ros.bags.conversion import convert_scene, origin_of
from gfocc_ros.bags.file import StorageError, is_finished_bag

if TYPE_CHECKING:
    from nuscenes.nuscenes import NuScenes

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_REPORT_S: Final = 0.1
_STOP_S: Final = 5.0
"""Longest wait for a process to clean up before it is killed."""


@dataclass(frozen=True)
class Progress:
    """How far a scene is, in sensor files."""

    done: int
    total: int


@dataclass(frozen=True)
class Written:
    """A scene's bag is finished."""

    num_messages: int


@dataclass(frozen=True)
class Failed:
    """A scene cannot be converted."""

    reason: str
    ends_batch: bool = False
    """Whether the other scenes would fail as well."""


News = Progress | Written | Failed


@dataclass
class BatchReport:
    """What became of each scene."""

    written: dict[str, int] = field(default_factory=dict)
    """Number of messages of each new bag."""
    finished_before: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """Why, by scene; scenes that were not begun because of another's failure are not here."""


class SceneBatch:
    """A batch of scenes of one dataset, to become `<folder>/<scene>` each.

    Raises:
        BagError: something other than the finished bag stands in a bag's place.
    """

    def __init__(
        self,
        nusc: NuScenes,
        scenes: Iterable[str],
        folder: Path,
        storage: str,
        content: BagContent,
    ) -> None:
        self._nusc, self._folder, self._storage, self._content = nusc, folder, storage, content
        self.report = BatchReport()
        self.open_scenes: list[str] = []
        """Scenes that have no bag yet."""
        for scene in dict.fromkeys(scenes):
            if self._is_finished(scene):
                self.report.finished_before.append(scene)
            else:
                self.open_scenes.append(scene)

    def convert(self, jobs: int, on_news: Callable[[str, News | None], None]) -> BatchReport:
        """Convert the open scenes, at most `jobs` at a time.

        on_news is called with a scene and what is new about it; None: it begins.
        Whatever it raises, Ctrl-C included, stops all processes; nothing unfinished stays behind.
        """
        pending = self.open_scenes[::-1]
        running: dict[Connection, tuple[str, BaseProcess]] = {}
        try:
            while pending or running:
                while pending and len(running) < jobs:
                    scene = pending.pop()
                    receiver, process = self._start(scene)
                    running[receiver] = (scene, process)
                    on_news(scene, None)
                for ready in wait(list(running), timeout=_REPORT_S):
                    assert isinstance(ready, Connection)
                    scene, process = running[ready]
                    news = _receive(ready, process)
                    self._note(scene, news)
                    if not isinstance(news, Progress):
                        del running[ready]
                        process.join()
                        ready.close()
                    on_news(scene, news)
                    if isinstance(news, Failed) and news.ends_batch:
                        return self.report
        finally:
            _stop(process for _, process in running.values())
        return self.report

    def _is_finished(self, scene: str) -> bool:
        out = self._folder / scene
        if not out.exists() and not out.is_symlink():
            return False
        if is_finished_bag(out, self._storage, origin_of(self._nusc, scene, self._content)):
            return True
        raise BagError(
            f"'{out}' exists already and is not the {self._storage} bag of scene '{scene}' with "
            "these options from this dataset; it is not overwritten"
        )

    def _note(self, scene: str, news: News) -> None:
        if isinstance(news, Written):
            self.report.written[scene] = news.num_messages
        elif isinstance(news, Failed):
            self.report.failed[scene] = news.reason

    def _start(self, scene: str) -> tuple[Connection, BaseProcess]:
        # Forked processes share the loaded tables, which take gigabytes for the full dataset.
        context = multiprocessing.get_context("fork")
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(
            target=_convert_in_process,
            args=(sender, self._nusc, scene, self._folder / scene, self._storage, self._content),
            daemon=True,
        )
        # Signals wait until the new process has its own handlers.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        sender.close()
        return receiver, process


def _convert_in_process(
    sender: Connection,
    nusc: NuScenes,
    scene: str,
    out: Path,
    storage: str,
    content: BagContent,
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which then terminates.
    signal.signal(signal.SIGTERM, interrupt_once)
    torch.set_num_threads(1)  # A forked process must not use the parent's thread pool.
    parent, reported = os.getppid(), 0.0

    def report(done: int, total: int) -> None:
        nonlocal reported
        if os.getppid() != parent:
            raise KeyboardInterrupt
        now = time.monotonic()
        if done == total or now - reported >= _REPORT_S:
            sender.send(Progress(done, total))
            reported = now

    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        counts = convert_scene(nusc, scene, out, storage, report, content)
        sender.send(Written(sum(counts.values())))
    except StorageError as error:
        sender.send(Failed(str(error), ends_batch=True))
    except (DatasetError, BagError) as error:
        sender.send(Failed(str(error)))
    except KeyboardInterrupt:
        return


def _receive(receiver: Connection, process: BaseProcess) -> News:
    try:
        news: News = receiver.recv()
    except EOFError:
        process.join()
        return Failed(f"its process ended with exit code {process.exitcode}")
    return news


def _stop(processes: Iterable[BaseProcess]) -> None:
    stopping: Sequence[BaseProcess] = list(processes)
    for process in stopping:
        process.terminate()
    deadline = time.monotonic() + _STOP_S
    for process in stopping:
        process.join(max(0.0, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()
