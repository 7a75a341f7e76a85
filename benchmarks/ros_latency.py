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
import re
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from inference_stream import image_size
from kernel_report import header
from kernel_timing import Times
from ros_latency_run import RunError, Setup, Traces, run

from gfocc_core.config import PRESETS
from gfocc_core.predictor import resolve_device
from gfocc_ros.diagnostics.frame_statistics import WINDOW_S
from gfocc_ros.frames.drops import Drop
from gfocc_ros.publishing.outputs import FRAME_TOPICS

_STAGE = re.compile(r"(?:stage )?(.+), (median|worst) \(ms\)")


@dataclass(frozen=True)
class Result:
    """Milliseconds, but for counts and shares."""

    sent: int
    answered: int
    image_kib: float
    voxels: float
    """Mean size of the clouds."""
    from_stamp: Times
    from_last_image: Times
    stages_median: dict[str, float]
    """Median over the reports of the node's medians."""
    stages_worst: dict[str, float]
    beside_network: float
    """Sum of the stages' medians without the network's: build, publish and the wait for images."""
    node_cpu: float
    """Processor time of the node per frame, the network's included."""
    drops: dict[str, int]


def main() -> int:
    parser = _parser()
    given = parser.parse_args()
    try:
        setup = _setup(given)
        with tempfile.TemporaryDirectory(prefix="gfocc-latency-") as folder:
            result = _result(run(setup, Path(folder)), given.warm_up)
    except (RunError, ValueError) as error:
        parser.error(str(error))
    about = {**header(given.device, given.commit), "cores": str(os.cpu_count())}
    if given.json:
        settings = {**asdict(setup), "seconds": given.seconds, "warm_up": given.warm_up}
        report = {**about, "settings": settings, "result": asdict(result)}
        try:
            given.json.write_text(json.dumps(report, indent=2) + "\n")
        except OSError as error:
            parser.error(f"--json {given.json} cannot be written: {error.strerror}")
    _print(about, given, result)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    network = parser.add_mutually_exclusive_group()
    network.add_argument("--preset", choices=sorted(PRESETS), default="paper")
    network.add_argument("--checkpoint", type=Path, help="in place of random weights of a preset")
    parser.add_argument("--inference", choices=("plain", "fast"), default="plain")
    parser.add_argument("--cameras", type=int, default=6, metavar="N")
    parser.add_argument("--images", default="900x1600", metavar="HxW", help="size of every image")
    parser.add_argument("--transport", choices=("compressed", "raw"), default="compressed")
    parser.add_argument(
        "--large-images", action="store_true", help="send by config/fastdds_large_images.xml"
    )
    parser.add_argument("--rate", type=float, default=10.0, help="frames per second (default: 10)")
    parser.add_argument("--outputs", nargs="+", choices=list(FRAME_TOPICS), default=["occupancy"])
    parser.add_argument("--seconds", type=float, default=30.0, help="measured (default: 30)")
    parser.add_argument("--warm-up", type=float, default=5.0, help="seconds before (default: 5)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--commit", help="of a copy of the code without git")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    return parser


def _setup(given: argparse.Namespace) -> Setup:
    for name in ("cameras", "rate", "seconds"):
        if not getattr(given, name) > 0:
            raise ValueError(f"--{name} must be positive, got {getattr(given, name)}")
    if given.warm_up < 0:
        raise ValueError(f"--warm-up must be >= 0, got {given.warm_up}")
    image_size(given.images)
    given.device = resolve_device(given.device)
    return Setup(
        cameras=tuple(f"camera_{number}" for number in range(given.cameras)),
        size=given.images,
        raw=given.transport == "raw",
        large_images=given.large_images,
        rate_hz=given.rate,
        frames=math.ceil((given.warm_up + given.seconds) * given.rate),
        outputs=tuple(given.outputs),
        node_parameters={
            "checkpoint": str(given.checkpoint.resolve()) if given.checkpoint else "",
            "preset": given.preset,
            "device": str(given.device),
            "inference": given.inference,
        },
    )


def _result(traces: Traces, warm_up_s: float) -> Result:
    """Frames after the warm-up; raises ValueError where none was answered."""
    since = traces.sent[0]["fired"] + warm_up_s
    until = traces.sent[-1]["sent"]
    sent = [frame for frame in traces.sent if frame["fired"] >= since]
    came = {cloud["stamp_ns"]: cloud for cloud in traces.came}
    pairs = [(frame, came[frame["stamp_ns"]]) for frame in sent if frame["stamp_ns"] in came]
    if not pairs:
        raise ValueError(f"none of {len(sent)} frames was answered")
    after = [report["values"] for report in traces.reports if report["at"] >= since]
    # Each report is of the seconds before it: the warm-up's are left out where others are there.
    clean = [r["values"] for r in traces.reports if since + WINDOW_S <= r["at"] <= until + 1.0]
    median, worst = _stages(clean or after)
    beside = sum(median[name] for name in ("wait", "build", "publish") if name in median)
    last = after[-1] if after else {}
    return Result(
        sent=len(sent),
        answered=len(pairs),
        image_kib=traces.image_bytes / 1024,
        voxels=statistics.mean(cloud["points"] for _, cloud in pairs),
        from_stamp=Times.of([(cloud["at"] - frame["fired"]) * 1e3 for frame, cloud in pairs]),
        from_last_image=Times.of([(cloud["at"] - frame["sent"]) * 1e3 for frame, cloud in pairs]),
        stages_median=median,
        stages_worst=worst,
        beside_network=beside,
        node_cpu=traces.node_cpu_s * 1e3 / len(traces.sent),
        drops={
            drop.value: int(last[f"dropped {drop.value}"])
            for drop in Drop
            if f"dropped {drop.value}" in last
        },
    )


def _stages(
    reports: Sequence[Mapping[str, Any]],
) -> tuple[dict[str, float], dict[str, float]]:
    """Medians and worsts (ms) by stage; camera spread and foreign values left out."""
    found: dict[str, dict[str, list[float]]] = {"median": {}, "worst": {}}
    for report in reports:
        for key, value in report.items():
            match = _STAGE.fullmatch(key)
            if match and value != "unknown":
                name, which = match.groups()
                found[which].setdefault(name, []).append(float(value))
    medians = {name: statistics.median(values) for name, values in found["median"].items()}
    worsts = {name: max(values) for name, values in found["worst"].items()}
    return medians, worsts


def _print(about: Mapping[str, str], given: argparse.Namespace, result: Result) -> None:
    network = given.checkpoint.name if given.checkpoint else f"preset {given.preset}"
    print("## ROS node: images to published cloud, over DDS\n")
    print("; ".join(f"{name} {value}" for name, value in about.items()) + "\n")
    print(
        f"- {given.cameras} cameras of {given.images}, {given.transport} "
        f"({result.image_kib:.0f} KiB each), {given.rate:g} Hz, {network}, {given.inference}"
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
