"""The occupancy node as its users run it: a process of its own, watched through its log."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


class NodeProcess:
    """`occupancy_node --ros-args <arguments>`; its output goes to a file."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log_file = folder / "node.log"
        with self.log_file.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gfocc_ros.occupancy_node", "--ros-args", *arguments],
                cwd=ROOT,
                env=os.environ | {"ROS_LOG_DIR": str(folder), "OMP_NUM_THREADS": "1"},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def wait_for_log(self, text: str, timeout_s: float = 30.0) -> None:
        deadline = time.monotonic() + timeout_s
        while text not in self.log:
            assert self.process.poll() is None, f"the node ended:\n{self.log}"
            assert time.monotonic() < deadline, f"'{text}' never came:\n{self.log}"
            time.sleep(0.02)

    def end_by(self, number: signal.Signals) -> tuple[int, float]:
        """Send a signal; returns the exit code and the seconds it took."""
        began = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(10)
        return code, time.monotonic() - began

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
