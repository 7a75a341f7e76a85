"""Publishes /diagnostics once a second: judged by `gfocc_ros.diagnostics.health`, with the numbers behind it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType  # type: ignore[attr-defined]
from rclpy.node import Node

from gfocc_ros.diagnostics.device_memory import device_memory_mib
from gfocc_ros.diagnostics.frame_statistics import WINDOW_S, Spread
from gfocc_ros.diagnostics.health import (
    Finding,
    Level,
    Limits,
    Observation,
    frame_rate_hz,
    frames_within,
    judge_cameras,
    judge_frames,
    judge_outputs,
)
from gfocc_ros.frames.drops import Drop
from gfocc_ros.pipeline import OccupancyPipeline

PERIOD_S = 1.0
FOREIGN_STAMP_MS = 3_600_000.0
"""Stamps this far from the node's clock are of another clock: a latency from them says nothing."""


@dataclass(frozen=True)
class _Tally:
    at_s: float
    drops: Mapping[Drop, int]
    images: int


class PipelineWatch:
    """Observes a running pipeline; made anew at every activation.

    Args:
        camera_mismatches: gives a sentence for each camera topic whose QoS does not fit now.
        output_mismatches: the same of the outputs.
    """

    def __init__(
        self,
        pipeline: OccupancyPipeline,
        camera_mismatches: Callable[[], tuple[str, ...]],
        output_mismatches: Callable[[], tuple[str, ...]],
    ) -> None:
        self._pipeline = pipeline
        self._camera_mismatches = camera_mismatches
        self._output_mismatches = output_mismatches
        self._since_s = time.monotonic()
        self._tallies = deque([_Tally(self._since_s, {}, 0)])

    @property
    def total_drops(self) -> Mapping[Drop, int]:
        return self._pipeline.drops.totals()

    @property
    def limits(self) -> Limits:
        parameters = self._pipeline.parameters
        return Limits(parameters.stale_after_s, parameters.warn_drop_share)

    def observe(self) -> Observation:
        """What was seen in the last WINDOW_S seconds, to the step of the calls."""
        now_s, pipeline = time.monotonic(), self._pipeline
        tally = _Tally(now_s, pipeline.drops.totals(), pipeline.images)
        while len(self._tallies) > 1 and self._tallies[1].at_s <= now_s - WINDOW_S:
            self._tallies.popleft()
        before = self._tallies[0]
        self._tallies.append(tally)
        return Observation(
            now_s=now_s,
            active_since_s=self._since_s,
            frames=pipeline.statistics.recent(now_s),
            drops={drop: n - before.drops.get(drop, 0) for drop, n in tally.drops.items()},
            images=tally.images - before.images,
            silent_cameras=pipeline.silent_cameras(pipeline.parameters.stale_after_s),
            camera_count=len(pipeline.parameters.cameras),
            camera_mismatches=self._camera_mismatches(),
            output_mismatches=self._output_mismatches(),
            forecast_error=pipeline.forecast_error,
        )


class Diagnostics:
    """The publisher of a node's /diagnostics, in whatever lifecycle state the node is.

    `watch`, `device` and `failure` are set by the node as its state changes.
    """

    def __init__(self, node: Node) -> None:
        self.watch: PipelineWatch | None = None
        """While the node is active."""
        self.device: torch.device | None = None
        """While a network is loaded."""
        self.failure = ""
        """Why the last transition failed; empty after one that did not."""
        self.state = "unconfigured"
        self._node = node
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # goes on when simulated time stops
        self._timer = node.create_timer(PERIOD_S, self.publish, clock=steady)

    def publish(self) -> None:
        """Say how things are now."""
        message = DiagnosticArray(status=self._statuses())
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)

    def _statuses(self) -> list[DiagnosticStatus]:
        level = Level.ERROR if self.failure else Level.OK
        own = Finding(level, self.failure or self.state)
        memory = {} if self.device is None else device_memory_mib(self.device)
        values = {"state": self.state, "device": str(self.device or "none")}
        values |= {f"{name} (MiB)": f"{mib:.0f}" for name, mib in memory.items()}
        statuses = [self._status("node", own, values)]
        if self.watch is not None:
            seen, limits = self.watch.observe(), self.watch.limits
            frames = judge_frames(seen, limits)
            statuses.append(self._status("frames", frames, _frame_values(seen)))
            cameras = judge_cameras(seen, limits)
            totals = {f"dropped {drop.value}": str(n) for drop, n in self.watch.total_drops.items()}
            statuses.append(self._status("cameras", cameras, _camera_values(seen) | totals))
            unfit = {"QoS mismatches of outputs": "; ".join(seen.output_mismatches) or "none"}
            statuses.append(self._status("outputs", judge_outputs(seen), unfit))
        return statuses

    def _status(self, part: str, finding: Finding, values: Mapping[str, str]) -> DiagnosticStatus:
        return DiagnosticStatus(
            level=bytes([finding.level]),
            name=f"{self._node.get_fully_qualified_name().lstrip('/')}: {part}",
            message=finding.message,
            hardware_id=str(self.device or ""),
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )


def _frame_values(seen: Observation) -> dict[str, str]:
    frames = frames_within(seen)
    values = {"rate (Hz)": f"{frame_rate_hz(seen):.2f}"}
    foreign = any(abs(frame.stamp_latency_ms) > FOREIGN_STAMP_MS for frame in frames)
    spreads = {
        "pipeline latency from arrival": Spread.of(frame.latency_ms for frame in frames),
        "pipeline latency from stamp": (
            None if foreign else Spread.of(frame.stamp_latency_ms for frame in frames)
        ),
    }
    for name in _names(frame.stages_ms for frame in frames):
        spreads[f"stage {name}"] = Spread.of(frame.stages_ms[name] for frame in frames)
    for name in _names(frame.details_ms for frame in frames):
        spreads[name] = Spread.of(
            frame.details_ms[name] for frame in frames if name in frame.details_ms
        )
    for name, spread in spreads.items():
        values[f"{name}, median (ms)"] = f"{spread.median:.1f}" if spread else "unknown"
        values[f"{name}, worst (ms)"] = f"{spread.worst:.1f}" if spread else "unknown"
    if frames:
        age_s = frames[-1].memory_age_s
        values["memory age (s)"] = "no memory" if age_s is None else f"{age_s:.3f}"
        values["cameras of the last frame"] = str(frames[-1].cameras)
    return values


def _camera_values(seen: Observation) -> dict[str, str]:
    dropped = {f"recently dropped {drop.value}": str(n) for drop, n in seen.drops.items() if n}
    return {
        "recent images": str(seen.images),
        "silent": ", ".join(seen.silent_cameras) or "none",
        "QoS mismatches": "; ".join(seen.camera_mismatches) or "none",
        **dropped,
    }


def _names(mappings: Iterable[Mapping[str, float]]) -> list[str]:
    """Every name that occurs, in the order of its first occurrence."""
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))
