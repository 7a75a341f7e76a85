"""What the executable does before torch loads, which reads its threads' policy only once."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.ros.node_process import ROOT

PROGRAM = """
import os, sys
from gfocc_ros import occupancy_node
print("torch" in sys.modules)
occupancy_node.main(["--ros-args", "--no-such-option"])
print(os.environ["OMP_WAIT_POLICY"], sys.getswitchinterval())
"""


def run(environment: dict[str, str]) -> list[str]:
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return found.stdout.split()


def test_threads_sleep_when_idle_and_hand_over_soon() -> None:
    free = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    assert run(free) == ["False", "passive", "0.0005"]


def test_the_users_thread_policy_holds() -> None:
    assert run({**os.environ, "OMP_WAIT_POLICY": "active"}) == ["False", "active", "0.0005"]
