"""The processes of one run of the ROS latency benchmark: node, cameras, reader."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gfocc_ros.large_images import use_large_images_profile

BENCHMARKS = Path(__file__).resolve().parent
READY_TIMEOUT_S = 600.0
"""A compiled network takes minutes to configure."""


class RunError(Exception):
    """A process of the benchmark failed; says which and what it wrote."""


@dataclass(frozen=True)
class Setup:
    """What is run."""

    cameras: tuple[str, ...]
    size: str
    """Of every image, HxW."""
    raw: bool
    large_images: bool
    """Whether the cameras send by the shipped Fast DDS profile."""
    rate_hz: float
    tf_rate_hz: float
    image_age_ms: float
    """By how much stamps lie before the moment of sending."""
    frames: int
    outputs: tuple[str, ...]
    node_parameters: dict[str, Any]


@dataclass(frozen=True)
class Traces:
    """What cameras and reader noted; times on the monotonic clock that all processes share, s."""

    image_bytes: float
    sent: list[dict[str, float]]
    """stamp_ns, fired (first image handed over), sent (last one handed over)."""
    came: list[dict[str, float]]
    """stamp_ns, at, points."""
    reports: list[dict[str, Any]]
    """at, values: /diagnostics of the node."""
    node_cpu_s: float
    """Processor time of the node between the first frame and the last answer."""


def run(setup: Setup, folder: Path) -> Traces:
    """Run until all frames are sent and answered; logs go to the folder.

    Raises:
        RunError: a process failed.
    """
    environment = os.environ | {
        "ROS_DOMAIN_ID": str(1 + os.getpid() % 100),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_LOG_DIR": str(folder),
        "PYTHONPATH": os.pathsep.join([str(BENCHMARKS.parent), *_python_path()]),
    }
    cameras_environment = dict(environment)
    concern = use_large_images_profile(cameras_environment) if setup.large_images else ""
    if concern:
        raise RunError(concern)
    values = folder / "parameters.yaml"
    parameters = {
        "cameras": list(setup.cameras),
        "reference_camera": setup.cameras[0],
        "image_transport": "raw" if setup.raw else "compressed",
        **setup.node_parameters,
    }
    values.write_text(yaml.safe_dump({"/**": {"ros__parameters": parameters}}))
    node_command = ["-m", "gfocc_ros.occupancy_node", "--ros-args", "--params-file", str(values)]
    reader_command = [str(BENCHMARKS / "ros_latency_subscriber.py"), "--outputs", *setup.outputs]
    cameras_command = [
        str(BENCHMARKS / "ros_latency_publisher.py"),
        *("--cameras", *setup.cameras, "--size", setup.size),
        *("--rate", str(setup.rate_hz), "--frames", str(setup.frames)),
        *("--tf-rate", str(setup.tf_rate_hz), "--image-age", str(setup.image_age_ms)),
        *(["--raw"] if setup.raw else []),
    ]
    with (
        _process("node", node_command, folder, environment) as node,
        _process("reader", reader_command, folder, environment) as reader,
    ):
        _wait_for_log(node, folder / "node.log", "ready:")
        with _process("cameras", cameras_command, folder, cameras_environment) as cameras:
            before_s = _cpu_s(node.pid)
            sent = _last_line(cameras, folder / "cameras.log", close_stdin=False)
        node_cpu_s = _cpu_s(node.pid) - before_s
        if node.poll() is not None:
            raise RunError(f"the node ended: {_tail(folder / 'node.log')}")
        heard = _last_line(reader, folder / "reader.log", close_stdin=True)
    return Traces(sent["image_bytes"], sent["sent"], heard["came"], heard["reports"], node_cpu_s)


def _python_path() -> list[str]:
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


@contextmanager
def _process(
    name: str, command: Sequence[str], folder: Path, environment: dict[str, str]
) -> Iterator[subprocess.Popen[str]]:
    with (folder / f"{name}.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, *command],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=log if name == "node" else subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for_log(process: subprocess.Popen[str], log: Path, text: str) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while text not in log.read_text():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RunError(f"the node did not become ready: {_tail(log)}")
        time.sleep(0.05)


def _last_line(process: subprocess.Popen[str], log: Path, *, close_stdin: bool) -> dict[str, Any]:
    """What a process says when it is done."""
    assert process.stdin is not None
    assert process.stdout is not None
    if close_stdin:
        process.stdin.close()
    lines = process.stdout.read().splitlines()
    if not lines or not lines[-1].startswith("{"):
        raise RunError(f"{log.stem} failed: {_tail(log)}")
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def _tail(log: Path) -> str:
    return " | ".join(log.read_text().splitlines()[-5:])


def _cpu_s(pid: int) -> float:
    """User and system time of a process so far; NaN where /proc is none."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.is_file():
        return float("nan")
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
