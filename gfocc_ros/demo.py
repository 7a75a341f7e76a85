"""`make demo`: a dataset becomes a bag, the bag is played into the node, what it publishes is shown.

Converter, player and node run as separate processes over DDS; this one only listens.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import rclpy
import yaml
from ament_index_python.packages import get_package_share_directory

from gfocc_core.grid import OCC3D_GRID
from gfocc_core.report.birds_eye import draw_birds_eye
from gfocc_core.report.camera_sheet import draw_camera_sheet
from gfocc_ros.cloud_reader import labels_from_cloud
from gfocc_ros.demo_collector import DemoCollector

KEYFRAME = "../shared/data/nuscenes_keyframe"
START_TIMEOUT_S = 180.0
"""Longest wait for the node to load its network and join the graph."""
QUIET_S = 5.0
"""The demo ends when nothing more was published for so long after the bag's end."""
FIRST_OUTPUT_S = 60.0
"""Longest wait for the first output after the bag's end."""


class DemoError(RuntimeError):
    """The demo cannot go on; says at which step and why."""


def main(argv: list[str] | None = None) -> int:
    """Run the demo; prints one JSON object as the last line. Returns 2 on bad input."""
    arguments = _parse(argv)
    try:
        print(json.dumps(_run(arguments)))
    except DemoError as error:
        print(f"gfocc_demo: {error}", file=sys.stderr)
        return 2
    return 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gfocc_demo", description=__doc__)
    parser.add_argument("--dataroot", type=Path, help="dataset in the nuScenes v1.0 schema")
    parser.add_argument("--version", help="its version, e.g. v1.0-mini; default: the only one")
    parser.add_argument("--scene", help="its scene; default: the only one")
    parser.add_argument("--checkpoint", type=Path, help="default: random weights")
    parser.add_argument("--out", type=Path, default=Path("demo_out"), help="folder for artefacts")
    return parser.parse_args(argv)


def _run(arguments: argparse.Namespace) -> dict[str, object]:
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("AMENT_PREFIX_PATH", sys.prefix)
    dataroot = _dataroot(arguments.dataroot)
    if arguments.checkpoint and not arguments.checkpoint.is_file():
        raise DemoError(f"checkpoint '{arguments.checkpoint}' does not exist")
    version = arguments.version or _only_version(dataroot)
    bag = arguments.out / "bag"
    arguments.out.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(bag, ignore_errors=True)
    _say(f"converting {dataroot} ({version}) to {bag}")
    scene = ["--scene", arguments.scene] if arguments.scene else []
    _convert(["--dataroot", str(dataroot), "--version", version, "--out", str(bag), *scene])
    if arguments.checkpoint is None:
        _say("no checkpoint: RANDOM weights, so the pictures show NOISE, not the scene")
    rclpy.init()
    try:
        return _play_and_collect(bag, arguments.checkpoint, arguments.out)
    finally:
        rclpy.try_shutdown()


def _play_and_collect(bag: Path, checkpoint: Path | None, out: Path) -> dict[str, object]:
    params_file = Path(get_package_share_directory("gfocc_ros")) / "config" / "occupancy.yaml"
    parameters = yaml.safe_load(params_file.read_text())["/**"]["ros__parameters"]
    collector = DemoCollector(
        tuple(parameters["cameras"]),
        parameters["reference_camera"],
        parameters["fixed_frame"],
        parameters["base_frame"],
    )
    command = [*_module("occupancy_node"), "--ros-args", "--params-file", str(params_file)]
    if checkpoint is not None:
        command += ["-p", f"checkpoint:={checkpoint}"]
    node = subprocess.Popen(command)
    try:
        _wait_until(collector.node_is_ready, node, START_TIMEOUT_S, "was not ready")
        _say("node is ready, playing the bag")
        player = subprocess.run([*_module("play_rosbag"), str(bag)], check=False)
        if player.returncode != 0:
            raise DemoError(f"the player ended with exit code {player.returncode}")
        _wait_until_quiet(collector, node)
        summary = _summarise(collector, checkpoint, parameters["slop_s"], out)
    finally:
        node_exit = _stop(node)
        collector.close()
    return summary | {"node_exit_code": node_exit}


def _summarise(
    collector: DemoCollector, checkpoint: Path | None, slop_s: float, out: Path
) -> dict[str, object]:
    last = collector.clouds[-1]
    labels = labels_from_cloud(last, OCC3D_GRID)
    note = "" if checkpoint else "random weights: noise"
    pictures = [out / "birds_eye.png", out / "cameras.png"]
    draw_birds_eye(labels, OCC3D_GRID, note).save(pictures[0])
    frame = collector.frame_of(last, slop_s)
    if frame is None:
        raise DemoError("no pose for the last output: its images cannot be drawn")
    draw_camera_sheet(frame, labels, OCC3D_GRID).save(pictures[1])
    return {
        "frames": collector.frames,
        "outputs": len(collector.clouds),
        "grids": len(collector.grids),
        "occupied_points": last.width,
        "latency_ms": round(statistics.median(collector.latencies_ms), 1),
        "weights": str(checkpoint) if checkpoint else "random",
        "bag": str(out / "bag"),
        "pictures": [str(picture) for picture in pictures],
    }


def _dataroot(given: Path | None) -> Path:
    root = given or Path(os.environ.get("NUSCENES_KEYFRAME_DIR", KEYFRAME))
    if not root.is_dir():
        hint = "" if given else "; give one with make demo DATAROOT=/path/to/nuscenes"
        raise DemoError(f"dataroot '{root}' is not a folder{hint}")
    return root


def _only_version(dataroot: Path) -> str:
    versions = sorted(path.parent.name for path in dataroot.glob("*/scene.json"))
    if len(versions) != 1:
        found = ", ".join(versions) or "none"
        raise DemoError(f"dataroot '{dataroot}' must hold one version, found {found}: name VERSION")
    return versions[0]


def _convert(options: list[str]) -> None:
    done = subprocess.run([*_module("nuscenes_to_rosbag"), *options], check=False)
    if done.returncode != 0:
        raise DemoError(f"the converter ended with exit code {done.returncode}")


def _module(name: str) -> list[str]:
    return [sys.executable, "-m", f"gfocc_ros.{name}"]


def _wait_until(
    ready: Callable[[], bool], node: subprocess.Popen[bytes], timeout_s: float, otherwise: str
) -> None:
    deadline = time.monotonic() + timeout_s
    while not ready():
        if node.poll() is not None:
            raise DemoError(f"the node ended with exit code {node.returncode}")
        if time.monotonic() > deadline:
            raise DemoError(f"the node {otherwise} within {timeout_s:.0f} s; see its log")
        time.sleep(0.1)


def _wait_until_quiet(collector: DemoCollector, node: subprocess.Popen[bytes]) -> None:
    """Wait for the frames still in the node."""
    _wait_until(lambda: bool(collector.clouds), node, FIRST_OUTPUT_S, "published nothing")
    seen, since = len(collector.clouds), time.monotonic()
    while time.monotonic() - since < QUIET_S and node.poll() is None:
        if len(collector.clouds) != seen:
            seen, since = len(collector.clouds), time.monotonic()
        time.sleep(0.1)


def _stop(node: subprocess.Popen[bytes]) -> int:
    node.send_signal(signal.SIGINT)
    try:
        return node.wait(10)
    except subprocess.TimeoutExpired:
        node.kill()
        return node.wait()


def _say(text: str) -> None:
    print(f"[demo] {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
