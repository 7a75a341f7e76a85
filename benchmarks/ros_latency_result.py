"""What the ROS latency benchmark's processes noted, as the numbers that it reports."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kernel_timing import Times
from ros_latency_run import Traces

from gfocc_ros.diagnostics.frame_statistics import WINDOW_S
from gfocc_ros.frames.drops import Drop

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


def result_of(traces: Traces, image_age_ms: float, warm_up_s: float) -> Result:
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
        from_stamp=Times.of(
            [(cloud["at"] - frame["fired"]) * 1e3 + image_age_ms for frame, cloud in pairs]
        ),
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
