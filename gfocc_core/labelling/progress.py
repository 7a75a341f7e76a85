"""How far a long run is: keyframes, rate, time left, bytes; one line, rewritten on a terminal."""

from __future__ import annotations

import sys
import time
from typing import TextIO

_TERMINAL_S, _LOG_S = 0.5, 30.0


class Progress:
    """Counts keyframes; prints to stderr at most every half second (30 s where it is a log)."""

    def __init__(self, total: int, done: int, label: str, stream: TextIO | None = None) -> None:
        """Args: total: keyframes of this run's share; done: those that were there before."""
        self._total, self._before, self._label = total, done, label
        self._done, self._bytes = done, 0
        self._stream = sys.stderr if stream is None else stream
        self._terminal = self._stream.isatty()
        self._started = self._printed = time.monotonic()
        if done:
            self._line(f"{label}: {done} of {total} keyframes are there already")

    def add(self, size: int) -> None:
        """One more keyframe is done, with so many bytes (0: it failed, or another made it)."""
        self._done += 1
        self._bytes += size
        now = time.monotonic()
        if now - self._printed >= (_TERMINAL_S if self._terminal else _LOG_S):
            self._printed = now
            self._show(self.text(), "")

    def finish(self) -> None:
        """Print the last state."""
        self._line(self.text())

    def text(self) -> str:
        """Such as `depth: 120/34149 keyframes, 3.20/s, 2:57:14 left, 0.12 GB`."""
        spent = max(time.monotonic() - self._started, 1e-6)
        rate = (self._done - self._before) / spent
        missing = self._total - self._done
        left = duration(missing / rate) if rate else "?" if missing else duration(0)
        return (
            f"{self._label}: {self._done}/{self._total} keyframes, {rate:.2f}/s, {left} left, "
            f"{self._bytes / 1e9:.3f} GB written"
        )

    def _line(self, text: str) -> None:
        self._show(text, "\n")

    def _show(self, text: str, end: str) -> None:
        start, end = ("\r\033[K", end) if self._terminal else ("", "\n")
        print(f"{start}{text}", end=end, file=self._stream, flush=True)


def duration(seconds: float) -> str:
    """Hours, minutes, seconds: 3:07:09."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
