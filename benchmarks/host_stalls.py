"""How the machine itself stood still during a benchmark: a process that only sleeps, and oversleeps.

What delays such a process delays any other too (a virtual machine or container that is halted, a
host with too much to do), so it tells what of a worst case the measured program cannot answer for.
"""

from __future__ import annotations

import json
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

NAP_S = 1e-3
STALL_MS = 2.0
"""An oversleep that counts."""


@dataclass(frozen=True)
class Stall:
    """A nap that was too long; `ended` on the monotonic clock that all processes share, seconds."""

    ended: float
    milliseconds: float


class HostStalls:
    """Filled when `watched_host` ends."""

    def __init__(self) -> None:
        self.stalls: tuple[Stall, ...] = ()

    def sentence(self, begin: float, end: float) -> str:
        """For people, of the time between two moments of the monotonic clock."""
        lengths = [stall.milliseconds for stall in self.stalls if begin <= stall.ended <= end]
        if not lengths:
            return f"the machine never stood still for {STALL_MS:g} ms in {end - begin:.0f} s"
        return (
            f"the machine stood still for more than {STALL_MS:g} ms {len(lengths)} times in "
            f"{end - begin:.0f} s: {statistics.median(lengths):.1f} ms in the median, "
            f"{max(lengths):.1f} ms at worst"
        )


@contextmanager
def watched_host() -> Iterator[HostStalls]:
    """Watch from a process of its own until the end of the block."""
    found = HostStalls()
    command = [sys.executable, str(Path(__file__).resolve())]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as watcher:
        try:
            yield found
        finally:
            told, _ = watcher.communicate("\n")
            found.stalls = tuple(Stall(*pair) for pair in json.loads(told))


def main() -> None:
    """Nap until a line comes on standard input; then write every stall."""
    stalls: list[Sequence[float]] = []
    while True:
        began = time.monotonic()
        if select.select([sys.stdin], [], [], NAP_S)[0]:
            break
        ended = time.monotonic()
        over_ms = (ended - began - NAP_S) * 1e3
        if over_ms > STALL_MS:
            stalls.append((ended, over_ms))
    print(json.dumps(stalls))


if __name__ == "__main__":
    main()
