"""A signal ends the process in time and with code 0, whatever its main thread does."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from tests.ros.node_process import ROOT

START = "from gfocc_ros.prompt_exit import *; end_on_signals(0.3); "
HOLD_UPS = {
    "swallows the exception": """
import time
print("up", flush=True)
while True:
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        pass
""",
    "sits in compiled code": """
import hashlib
print("up", flush=True)
hashlib.pbkdf2_hmac("sha256", b"x", b"y", 2**31 - 1)
""",
}


NODE_THAT_FAILS = """
import os, signal, sys, threading, types

class OccupancyNode:
    def __init__(self):
        print("up", flush=True)
        if number:
            threading.Timer(0.01, os.kill, (os.getpid(), number)).start()
        raise RuntimeError("context is invalid")

number = {number}
sys.modules["gfocc_ros.node"] = types.SimpleNamespace(
    OccupancyNode=OccupancyNode, TransitionError=KeyError
)
from gfocc_ros.occupancy_node import main
sys.exit(main([]))
"""


def started(program: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", START + program]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("hold_up", HOLD_UPS)
def test_process_that_is_held_up_ends(hold_up: str, number: signal.Signals) -> None:
    process = started(HOLD_UPS[hold_up])
    try:
        time.sleep(0.1)
        process.send_signal(number)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait(10)


def test_signal_of_a_forked_child_does_not_end_the_parent() -> None:
    program = """
import os, signal, sys, time
child = os.fork()
if not child:
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        os._exit(7)
time.sleep(0.2)
os.kill(child, signal.SIGTERM)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
print("up", flush=True)
time.sleep(1.0)
sys.exit(5)
"""
    assert started(program).wait(30) == 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_while_rclpys_complaint_of_it_is_dealt_with_ends_the_node(
    number: signal.Signals,
) -> None:
    process = started(NODE_THAT_FAILS.replace("{number}", str(int(number))))
    assert process.wait(30) == 0


def test_the_same_complaint_without_a_signal_is_an_error() -> None:
    assert started(NODE_THAT_FAILS.replace("{number}", "0")).wait(30) == 1
