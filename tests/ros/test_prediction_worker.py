"""The worker always does the newest item, survives errors and stops in time."""

from __future__ import annotations

import threading

from gfocc_ros.prediction_worker import NewestWinsWorker


class Task:
    """Does items one by one, each held up until it is let go."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.errors: list[str] = []
        self.begun = threading.Semaphore(0)
        self.let_go = threading.Semaphore(0)
        self.failed = threading.Event()
        self.worker: NewestWinsWorker[str] = NewestWinsWorker(self.run, self.fail, "test")

    def run(self, item: str) -> None:
        self.started.append(item)
        self.begun.release()
        self.let_go.acquire(timeout=5)
        if item == "bad":
            raise RuntimeError("cannot do 'bad'")

    def fail(self, error: Exception) -> None:
        self.errors.append(str(error))
        self.failed.set()


def test_newest_item_replaces_the_one_that_waits() -> None:
    task = Task()
    assert not task.worker.submit("first")
    assert task.begun.acquire(timeout=5)
    assert not task.worker.submit("second")
    assert task.worker.submit("third")
    task.let_go.release(2)
    assert task.begun.acquire(timeout=5)
    assert task.worker.stop(5)
    assert task.started == ["first", "third"]


def test_error_is_reported_and_the_next_item_done() -> None:
    task = Task()
    task.let_go.release(2)
    task.worker.submit("bad")
    assert task.failed.wait(5)
    task.worker.submit("good")
    assert task.begun.acquire(timeout=5)
    assert task.begun.acquire(timeout=5)
    assert task.worker.stop(5)
    assert task.started == ["bad", "good"]
    assert task.errors == ["cannot do 'bad'"]


def test_stop_drops_what_waits_and_says_when_an_item_still_runs() -> None:
    task = Task()
    task.worker.submit("long")
    assert task.begun.acquire(timeout=5)
    task.worker.submit("never")
    assert not task.worker.stop(0.05)
    task.let_go.release()
    assert task.worker.stop(5)
    assert task.started == ["long"]


def test_it_is_idle_when_nothing_runs_or_waits() -> None:
    task = Task()
    assert task.worker.is_idle
    task.worker.submit("first")
    assert task.begun.acquire(timeout=5)
    assert not task.worker.is_idle
    task.let_go.release()
    assert task.worker.stop(5)
    assert not task.worker.is_idle
