"""What the two bag commands share: bad input ends in one line on stderr and exit code 2."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

BAD_INPUT = 2
"""Exit code of a command whose input cannot be used."""


class BagError(ValueError):
    """A bag is missing, damaged, in the way, or holds nothing that can be used."""


class OneLineParser(argparse.ArgumentParser):
    """An argument parser that reports a bad argument in one line, without the usage text."""

    def error(self, message: str) -> NoReturn:
        sys.exit(report_bad_input(self.prog, message))


def report_bad_input(command: str, message: object) -> int:
    """Print one line on stderr and return the exit code to end with."""
    line = " ".join(str(message).split())
    print(f"{command}: error: {line}", file=sys.stderr)
    return BAD_INPUT


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
