#!/usr/bin/env python3
"""Latency of the ROS node over DDS: cameras, node and reader as processes of their own.

Images of one frame are fired at one moment. Two latencies are measured at the reader: from the
images' stamp, and from the moment at which the last image was handed to DDS. The node's own stages
come from its /diagnostics.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from host_stalls import watched_host
from inference_stream import FrameStream, image_size
from kernel_report import header
from ros_latency_network import write_random_checkpoint
from ros_latency_result import Result, result_of
from ros_latency_run import RunError, Setup, run

from gfocc_core.config import PRESETS, preset
from gfocc_core.inference import InferenceConfig
from gfocc_core.predictor import resolve_device
from gfocc_ros.publishing.outputs import FRAME_TOPICS

VOXELS = 20_000
"""Of a cloud; a trained network occupies about as many."""
WEIGHTS = "random.safetensors"


def main() -> int:
    parser = _parser()
    given = parser.parse_args()
    try:
        setup = _setup(given)
        with tempfile.TemporaryDirectory(prefix="gfocc-latency-") as name:
            folder = Path(name)
            threshold = None if given.checkpoint else _random_network(folder / WEIGHTS, given)
            setup = _with_random_network(setup, folder / WEIGHTS, threshold)
            with watched_host() as host:
                traces = run(setup, folder)
        result = result_of(traces, given.image_age, given.warm_up)
    except (RunError, ValueError) as error:
        parser.error(str(error))
    about = {**header(given.device, given.commit), "cores": str(os.cpu_count())}
    if given.json:
        network = (
            {} if given.checkpoint else {"voxels": given.voxels, "density_threshold": threshold}
        )
        settings = {
            **asdict(setup),
            **network,
            "seconds": given.seconds,
            "warm_up": given.warm_up,
        }
        stalls = [asdict(stall) for stall in host.stalls]
        report = {**about, "settings": settings, "result": asdict(result), "host_stalls": stalls}
        try:
            given.json.write_text(json.dumps(report, indent=2) + "\n")
        except OSError as error:
            parser.error(f"--json {given.json} cannot be written: {error.strerror}")
    _print(about, given, threshold, result)
    measured = (traces.sent[0]["fired"] + given.warm_up, traces.came[-1]["at"])
    print(f"\nMeanwhile {host.sentence(*measured)}.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    network = parser.add_mutually_exclusive_group()
    network.add_argument("--preset", choices=sorted(PRESETS), default="paper")
    network.add_argument("--checkpoint", type=Path, help="in place of random weights of a preset")
    parser.add_argument(
        "--voxels",
        type=int,
        metavar="N",
        help=f"that random weights shall occupy, about (default: {VOXELS})",
    )
    parser.add_argument("--inference", choices=("plain", "fast"), default="plain")
    parser.add_argument("--cameras", type=int, default=6, metavar="N")
    parser.add_argument("--images", default="900x1600", metavar="HxW", help="size of every image")
    parser.add_argument("--transport", choices=("compressed", "raw"), default="compressed")
    parser.add_argument(
        "--large-images", action="store_true", help="send by config/fastdds_large_images.xml"
    )
    parser.add_argument("--rate", type=float, default=10.0, help="frames per second (default: 10)")
    parser.add_argument(
        "--tf-rate", type=float, default=50.0, metavar="HZ", help="of odometry (default: 50)"
    )
    parser.add_argument(
        "--image-age",
        type=float,
        default=0.0,
        metavar="MS",
        help="of an image when it is sent: what exposure, readout and JPEG take (default: 0)",
    )
    parser.add_argument("--outputs", nargs="+", choices=list(FRAME_TOPICS), default=["occupancy"])
    parser.add_argument("--seconds", type=float, default=30.0, help="measured (default: 30)")
    parser.add_argument("--warm-up", type=float, default=5.0, help="seconds before (default: 5)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--commit", help="of a copy of the code without git")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    return parser


def _setup(given: argparse.Namespace) -> Setup:
    if given.checkpoint and given.voxels is not None:
        raise ValueError("--voxels is for random weights, a checkpoint has its own threshold")
    given.voxels = VOXELS if given.voxels is None else given.voxels
    for name in ("cameras", "rate", "seconds", "tf_rate", "voxels"):
        if not getattr(given, name) > 0:
            raise ValueError(f"{_flag(name)} must be positive, got {getattr(given, name)}")
    for name in ("warm_up", "image_age"):
        if not getattr(given, name) >= 0:
            raise ValueError(f"{_flag(name)} must be >= 0, got {getattr(given, name)}")
    image_size(given.images)
    given.device = resolve_device(given.device)
    return Setup(
        cameras=tuple(f"camera_{number}" for number in range(given.cameras)),
        size=given.images,
        raw=given.transport == "raw",
        large_images=given.large_images,
        rate_hz=given.rate,
        tf_rate_hz=given.tf_rate,
        image_age_ms=given.image_age,
        frames=math.ceil((given.warm_up + given.seconds) * given.rate),
        outputs=tuple(given.outputs),
        node_parameters={
            "checkpoint": str(given.checkpoint.resolve()) if given.checkpoint else "",
            "preset": given.preset,
            "device": str(given.device),
            "inference": given.inference,
        },
    )


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _random_network(path: Path, given: argparse.Namespace) -> float:
    """Write the node's checkpoint; returns its density threshold."""
    is_fast = given.inference == "fast"
    return write_random_checkpoint(
        path,
        preset(given.preset),
        given.voxels,
        FrameStream(given.cameras, image_size(given.images)),
        given.device,
        InferenceConfig.fastest(given.device) if is_fast else InferenceConfig(),
    )


def _with_random_network(setup: Setup, path: Path, threshold: float | None) -> Setup:
    """The setup itself where there is no threshold."""
    if threshold is None:
        return setup
    network = {"checkpoint": str(path), "density_threshold": threshold}
    return replace(setup, node_parameters=setup.node_parameters | network)


def _print(
    about: Mapping[str, str],
    given: argparse.Namespace,
    threshold: float | None,
    result: Result,
) -> None:
    network = given.checkpoint.name if given.checkpoint else f"preset {given.preset}"
    print("## ROS node: images to published cloud, over DDS\n")
    print("; ".join(f"{name} {value}" for name, value in about.items()) + "\n")
    print(
        f"- {given.cameras} cameras of {given.images}, {given.transport} "
        f"({result.image_kib:.0f} KiB each), {given.rate:g} Hz, {network}, {given.inference}"
    )
    print(f"- images {given.image_age:g} ms old when sent; odometry at {given.tf_rate:g} Hz")
    if threshold is not None:
        print(
            f"- random weights, for {given.voxels} voxels occupied from density {threshold:.4g} on"
        )
    if given.large_images:
        print("- sent by config/fastdds_large_images.xml")
    print(f"- read: {', '.join(given.outputs)}; {result.voxels:.0f} voxels a cloud")
    print(f"- {result.answered} of {result.sent} frames answered")
    dropped = ", ".join(f"{name} {count}" for name, count in result.drops.items())
    print(f"- dropped, warm-up included: {dropped or 'nothing'}")
    print(f"- processor time of the node: {result.node_cpu:.1f} ms a frame, the network included\n")
    print("| measured at the reader | median ms | p99 |")
    print("|---|---:|---:|")
    for name, times in (
        ("image stamp to cloud", result.from_stamp),
        ("last image sent to cloud", result.from_last_image),
    ):
        print(f"| {name} | {times.median_ms:.1f} | {times.p99_ms:.1f} |")
    print("\n| told by the node | median ms | worst |")
    print("|---|---:|---:|")
    for name, median in result.stages_median.items():
        print(f"| {name} | {median:.1f} | {result.stages_worst[name]:.1f} |")
    print(f"| **all but the network** (wait + build + publish) | {result.beside_network:.1f} | |")


if __name__ == "__main__":
    sys.exit(main())
