"""The shipped network over minutes with every output read: no leak, no output that ends, no growing
delay, and every frame is answered or counted as dropped.

A computer that is too slow for the cameras' rate answers fewer. GFOCC_SOAK_SECONDS sets how long
(default: 600). The curve of the node's memory is printed (`pytest -s`).
"""

from __future__ import annotations

import itertools
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from gfocc_ros.diagnostics.health import LOST_FRAMES
from gfocc_ros.frames.drops import Drop
from gfocc_ros.publishing.outputs import FRAME_TOPICS
from gfocc_ros.shipped_assets import CHECKPOINT, shipped_asset
from tests.ros.child_process import ChildProcess
from tests.ros.node_process import NodeProcess
from tests.ros.outputs_ear import Ear
from tests.ros.traffic_process import OWN_TF

pytestmark = [pytest.mark.ros, pytest.mark.slow]

RATE_HZ = 4.0
DEFAULT_S = 600.0
SHORTEST_S = 30.0
LONGEST_WARM_UP_S = 60.0
SAMPLE_PERIOD_S = 0.5
MOST_GROWTH = 0.05
MOST_SLOWDOWN = 2.0
"""Other programs may slow the computer down; a queue that grows exceeds any factor."""
LEAST_ACCOUNTED = 0.98
"""Share of the frames that cameras sent which are answered or counted as dropped."""
LONGEST_SILENCE_S = 20.0
"""Of any output: an output that ended, not a computer that others fill for a while."""
FRAME_DROPS = {drop.value for drop in LOST_FRAMES | {Drop.SUPERSEDED_FRAME}}
CURVE_ROWS = 20


@dataclass(frozen=True)
class Sample:
    at_s: float
    """Since the traffic began."""
    mib: float
    """Resident memory of the node."""


def test_memory_outputs_and_latency_hold(tmp_path: Path) -> None:
    seconds = float(os.environ.get("GFOCC_SOAK_SECONDS", DEFAULT_S))
    assert seconds >= SHORTEST_S, f"GFOCC_SOAK_SECONDS must be at least {SHORTEST_S:.0f}"
    checkpoint = shipped_asset(CHECKPOINT)
    assert checkpoint is not None
    given = ("-r", "__ns:=/soak", *OWN_TF, "-p", f"checkpoint:={checkpoint}")
    node = NodeProcess(tmp_path, *given)
    try:
        with (
            Ear("/soak", tuple(FRAME_TOPICS)) as ear,
            ChildProcess(
                tmp_path, "traffic_process", "--namespace", "/soak", "--rate", str(RATE_HZ), "--tf"
            ),
        ):
            node.wait_for_log("ready:", timeout_s=60)
            ear.wait_for(lambda: all(ear.heard.values()), "one message of every output")
            before = ear.drops
            began = time.monotonic()
            samples = _watch(node, began, seconds)
            ended = time.monotonic()
            dropped = {reason: n - before.get(reason, 0) for reason, n in ear.drops.items()}
        print(_curve(samples), f"\ndropped: {dropped}")
    finally:
        node.kill()
    assert node.log.count("Traceback") == 0
    assert dropped.get(Drop.PREDICTION_FAILED.value, 0) == 0
    warm_up_s = min(LONGEST_WARM_UP_S, seconds / 4)
    _assert_memory_holds([sample for sample in samples if sample.at_s >= warm_up_s])
    for topic, heard in ear.heard.items():
        times = [began, *(h.arrival_s for h in heard if began < h.arrival_s < ended), ended]
        silence_s = max(later - sooner for sooner, later in itertools.pairwise(times))
        print(f"{topic}: {len(times) - 2} messages, longest silence {silence_s:.2f} s")
        assert silence_s < LONGEST_SILENCE_S, topic
    clouds = [h for h in ear.clouds if began < h.arrival_s < ended]
    accounted = len(clouds) + sum(n for why, n in dropped.items() if why in FRAME_DROPS)
    due = (ended - began) * RATE_HZ
    print(f"{len(clouds)} clouds, {accounted} of {due:.0f} frames answered or counted as dropped")
    assert accounted >= LEAST_ACCOUNTED * due - 2 * RATE_HZ  # counts are told once a second
    warm = [cloud.lag_s for cloud in clouds if cloud.arrival_s > began + warm_up_s]
    _assert_latency_holds(warm)


def _watch(node: NodeProcess, began: float, seconds: float) -> list[Sample]:
    samples = []
    while time.monotonic() < began + seconds:
        assert node.process.poll() is None, node.log
        samples.append(Sample(time.monotonic() - began, _resident_mib(node.process.pid)))
        time.sleep(SAMPLE_PERIOD_S)
    return samples


def _resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status")
    if not status.is_file():
        pytest.skip("needs /proc to see the memory of a process")
    (line,) = (row for row in status.read_text().splitlines() if row.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def _assert_memory_holds(samples: Sequence[Sample]) -> None:
    tenth = max(1, len(samples) // 10)
    middle = len(samples) // 2
    first, half, last = (
        statistics.median(sample.mib for sample in part)
        for part in (samples[:tenth], samples[middle : middle + tenth], samples[-tenth:])
    )
    print(
        f"resident after the warm-up {first:.1f} MiB, halfway {half:.1f} MiB, "
        f"at the end {last:.1f} MiB ({last / first - 1:+.2%})"
    )
    assert last <= first * (1 + MOST_GROWTH)


def _assert_latency_holds(lags_s: Sequence[float]) -> None:
    third = len(lags_s) // 3
    first, last = statistics.median(lags_s[:third]), statistics.median(lags_s[-third:])
    print(f"stamp to cloud: median of the first third {first:.3f} s, of the last {last:.3f} s")
    assert last <= first * MOST_SLOWDOWN


def _curve(samples: Sequence[Sample]) -> str:
    """Resident memory over time, one row a period, from the least to the most of it."""
    low, high = min(s.mib for s in samples), max(s.mib for s in samples)
    rows = [f"\nresident memory of the node, {low:.1f} to {high:.1f} MiB"]
    for number in range(CURVE_ROWS):
        begin, end = (len(samples) * k // CURVE_ROWS for k in (number, number + 1))
        part = samples[begin:end]
        mib = statistics.median(sample.mib for sample in part)
        bar = "#" * (1 + round(40 * (mib - low) / max(high - low, 1e-9)))
        rows.append(f"{part[0].at_s:6.0f} s {mib:8.1f} {bar}")
    return "\n".join(rows)
