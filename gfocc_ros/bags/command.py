"""What the bag commands share: their error, and how SIGTERM ends them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn


class BagError(ValueError):
    """A bag is missing, damaged, in the way, or holds nothing that can be used."""


@contextmanager
def terminate_as_interrupt() -> Iterator[None]:
    """Have SIGTERM end the block as Ctrl-C does: by a KeyboardInterrupt, with cleaning up."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python delivers signals to the main thread only.
        return
    before = signal.signal(signal.SIGTERM, interrupt_once)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def interrupt_once(number: int, frame: FrameType | None) -> NoReturn:
    """Signal handler: raise KeyboardInterrupt now, and not again while that cleans up."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
