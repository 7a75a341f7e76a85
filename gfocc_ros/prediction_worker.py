"""One thread that always works on the newest item: what comes meanwhile replaces what waits.

Lets callbacks return at once while a prediction runs; knows no ROS.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class NewestWinsWorker(Generic[T]):
    """Runs `process(item)` in its own thread, one item at a time.

    Args:
        process: what to do with an item.
        on_error: called in the thread with the item's exception; the thread goes on.
    """

    def __init__(
        self, process: Callable[[T], None], on_error: Callable[[Exception], None], name: str
    ) -> None:
        self._process = process
        self._on_error = on_error
        self._changed = threading.Condition()
        self._waiting: list[T] = []
        self._stopping = False
        self._working = False
        # A daemon, so that a prediction that hangs cannot keep the process alive.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def is_stopping(self) -> bool:
        return self._stopping

    @property
    def is_idle(self) -> bool:
        """Whether an item that came now would be worked on at once."""
        return not (self._working or self._waiting or self._stopping)

    def submit(self, item: T) -> bool:
        """Hand over an item without waiting; returns whether it replaced one that waited."""
        with self._changed:
            replaced = bool(self._waiting)
            self._waiting = [item]
            self._changed.notify()
        return replaced

    def stop(self, timeout_s: float) -> bool:
        """Drop what waits, end the thread; returns whether it ended within the time."""
        with self._changed:
            self._stopping = True
            self._waiting = []
            self._changed.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._stopping)
                if self._stopping:
                    return
                self._working = True
                item = self._waiting.pop()
            try:
                self._process(item)
            except Exception as error:
                self._on_error(error)
            self._working = False
            del item  # frees the images while the next item is awaited
