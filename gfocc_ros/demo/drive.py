"""A bag through the node, over DDS: converter, node and player as processes of their own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gfocc_ros.demo.collector import DemoCollector
from gfocc_ros.demo.error import DemoError

START_TIMEOUT_S = 180.0
"""Longest wait for the node to load its network and join the graph."""
QUIET_S = 5.0
"""The drive ends when nothing more was published for so long after the bag's end."""
FIRST_OUTPUT_S = 60.0
"""Longest wait for the first output after the bag's end."""
_STEP_S = 0.1

Process = subprocess.Popen[bytes]


class NodeRun:
    """The occupancy node while it runs; `exit_code` is known after the `with` block."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.exit_code: int | None = None


def convert_to_bag(dataroot: Path, version: str, scene: str, bag: Path) -> None:
    """Write a scene as a bag; raises DemoError."""
    options = ["--dataroot", str(dataroot), "--version", version, "--scene", scene]
    command = [*_module("nuscenes_to_rosbag"), *options, "--out", str(bag)]
    done = subprocess.run(command, stdout=sys.stderr, check=False)
    if done.returncode != 0:
        raise DemoError(f"the converter ended with exit code {done.returncode}")


@contextmanager
def running_node(params_file: Path, overrides: Sequence[str]) -> Iterator[NodeRun]:
    """Start the node with `name:=value` overrides; stop it, as Ctrl-C does, in the end."""
    words = [word for override in overrides for word in ("-p", override)]
    command = [*_module("occupancy_node"), "--ros-args", "--params-file", str(params_file), *words]
    run = NodeRun(subprocess.Popen(command))
    try:
        yield run
    finally:
        run.exit_code = _stop(run.process)


def wait_until_ready(collector: DemoCollector, node: NodeRun) -> None:
    """Wait for the node to listen; raises DemoError if it ends or takes too long."""
    _wait_until(collector.node_is_ready, node, START_TIMEOUT_S, "was not ready")


def play(bag: Path, collector: DemoCollector, node: NodeRun) -> None:
    """Play a bag to its end and wait for what is still in the node; raises DemoError."""
    player = subprocess.Popen([*_module("play_rosbag"), str(bag)], stdout=sys.stderr)
    try:
        while player.poll() is None:
            _check_alive(node)
            collector.learn_poses()
            time.sleep(_STEP_S)
    finally:
        if player.poll() is None:
            player.terminate()
            player.wait()
    if player.returncode != 0:
        raise DemoError(f"the player ended with exit code {player.returncode}")
    _wait_until_quiet(collector, node)


def _wait_until_quiet(collector: DemoCollector, node: NodeRun) -> None:
    _wait_until(lambda: bool(collector.outputs), node, FIRST_OUTPUT_S, "published nothing")
    seen, since = len(collector.outputs), time.monotonic()
    while time.monotonic() - since < QUIET_S and node.process.poll() is None:
        if _is_complete(collector):
            break
        if len(collector.outputs) != seen:
            seen, since = len(collector.outputs), time.monotonic()
        collector.learn_poses()
        time.sleep(_STEP_S)
    collector.learn_poses()


def _is_complete(collector: DemoCollector) -> bool:
    """Whether every frame came back, as cloud and as grid: nothing is left to wait for."""
    return len(collector.outputs) == collector.grids >= collector.frames


def _wait_until(ready: Callable[[], bool], node: NodeRun, timeout_s: float, otherwise: str) -> None:
    deadline = time.monotonic() + timeout_s
    while not ready():
        _check_alive(node)
        if time.monotonic() > deadline:
            raise DemoError(f"the node {otherwise} within {timeout_s:.0f} s; see its log")
        time.sleep(_STEP_S)


def _check_alive(node: NodeRun) -> None:
    if node.process.poll() is not None:
        raise DemoError(f"the node ended with exit code {node.process.returncode}")


def _stop(process: Process) -> int:
    process.send_signal(signal.SIGINT)
    try:
        return process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _module(name: str) -> list[str]:
    return [sys.executable, "-m", f"gfocc_ros.{name}"]
