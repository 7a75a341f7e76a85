"""SIGINT and SIGTERM end the process in time, whatever holds up its threads; knows no ROS.

A signal raises KeyboardInterrupt in the main thread, where the program cleans up. It cannot where
that thread sits in compiled code (a long kernel, a compiler), or where a library swallows the
exception; so a second thread, woken by the signal itself, ends the process when time is up.
"""

from __future__ import annotations

import functools
import os
import signal
import socket
import sys
import threading
import time
from types import FrameType
from typing import NoReturn

END_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_received: list[int] = []


def end_on_signals(limit_s: float) -> None:
    """From now on, a signal ends the process with code 0 at the latest after `limit_s` seconds.

    Call it in the main thread, before anything installs handlers that call the former ones.
    """
    for number in END_SIGNALS:
        signal.signal(number, _interrupt)
    woken, waker = socket.socketpair()
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    # A forked child (a compiler's worker) shares the pair: its signals are not ours.
    os.register_at_fork(after_in_child=functools.partial(signal.set_wakeup_fd, -1))
    watch = threading.Thread(
        target=_watch, args=(woken, waker, limit_s), name="prompt exit", daemon=True
    )
    watch.start()


def is_asked_to_end() -> bool:
    """Whether a signal came: what an exception says then is of no interest."""
    return bool(_received)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    _received.append(number)
    raise KeyboardInterrupt


def ignore_signals() -> None:
    """A second Ctrl-C must not cut the clean-up."""
    for number in END_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def end_process(code: int) -> NoReturn:
    """End at once without tearing the interpreter down.

    With torch that takes over a second, and crashes if a prediction still runs.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _watch(woken: socket.socket, waker: socket.socket, limit_s: float) -> None:
    """Both ends of the pair are held here, so that neither is closed."""
    while woken.recv(1)[0] not in END_SIGNALS:
        pass
    time.sleep(limit_s)
    end_process(0)
