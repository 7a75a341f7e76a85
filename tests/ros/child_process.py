"""The processes around the node in long and rough runs: traffic and slow readers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from tests.ros.node_process import ROOT


class ChildProcess:
    """`python -m tests.ros.<module>`; ready on return, killed when its context ends."""

    def __init__(self, folder: Path, module: str, *arguments: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log_file = folder / f"{module}.log"
        with self._log_file.open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"tests.ros.{module}", *arguments],
                cwd=ROOT,
                env=os.environ | {"ROS_LOG_DIR": str(folder), "OMP_NUM_THREADS": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n", self._log_file.read_text()

    def __enter__(self) -> ChildProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def tell(self, line: str) -> None:
        """Send a command; fails where the process ended."""
        assert self._process.poll() is None, self._log_file.read_text()
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Without a farewell to the other processes, as a crash or a power cut."""
        self._process.kill()
        self._process.wait(10)
