"""Hears a running node: when each output came, and what /diagnostics says, from the test's process."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import PointCloud2

from gfocc_ros.messages import nanoseconds_from_stamp
from gfocc_ros.publishing.outputs import FRAME_TOPICS

PATIENCE_S = 60.0
_DROPPED = "dropped "


@dataclass(frozen=True)
class Heard:
    """One message of an output."""

    arrival_s: float
    """Monotonic clock."""
    stamp_ns: int
    """0: not looked at."""
    lag_s: float
    """From stamp to arrival on the vehicle's clock."""


class Ear:
    """Listens from construction to the outputs that are named; `occupancy` is the clouds."""

    def __init__(self, namespace: str = "/", outputs: Sequence[str] = ("occupancy",)) -> None:
        self.heard: dict[str, list[Heard]] = {topic: [] for topic in outputs}
        self.reports = 0
        """Of /diagnostics, so far."""
        self.shift_ns = 0
        """By how much the vehicle's clock is ahead of this machine's."""
        self._values: dict[str, str] = {}
        self._levels: dict[str, int] = {}
        self._prefix = f"{namespace.strip('/')}/occupancy: ".lstrip("/")
        self._context = Context()
        rclpy.init(context=self._context)
        self.node = Node("ear", namespace=namespace, context=self._context)
        for topic in outputs:
            note = functools.partial(self._on_output, topic)
            raw = FRAME_TOPICS[topic] is not PointCloud2  # markers would keep this process busy
            self.node.create_subscription(
                FRAME_TOPICS[topic], f"occupancy/{topic}", note, 20, raw=raw
            )
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def __enter__(self) -> Ear:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._executor.shutdown()
        self._thread.join(5)
        self.node.destroy_node()
        self._context.try_shutdown()

    @property
    def now_ns(self) -> int:
        """On the vehicle's clock."""
        return time.time_ns() + self.shift_ns

    @property
    def clouds(self) -> list[Heard]:
        return self.heard["occupancy"]

    @property
    def drops(self) -> Mapping[str, int]:
        """Since the node became active, by reason, as /diagnostics last told."""
        return {
            name.removeprefix(_DROPPED): int(value)
            for name, value in dict(self._values).items()
            if name.startswith(_DROPPED)
        }

    @property
    def values(self) -> Mapping[str, str]:
        """All that /diagnostics last told of the node."""
        return dict(self._values)

    @property
    def levels(self) -> Mapping[str, int]:
        """Of each part (node, frames, cameras)."""
        return dict(self._levels)

    def wait_for_answers(self, count: int = 3, patience_s: float = PATIENCE_S) -> None:
        """Until so many more clouds came, of frames that were taken after this call."""
        now_ns, known = self.now_ns, len(self.clouds)
        self.wait_for(
            lambda: sum(cloud.stamp_ns > now_ns for cloud in self.clouds[known:]) >= count,
            f"{count} answers; dropped: {dict(self.drops)}",
            patience_s,
        )

    def wait_for_drop(self, reason: str, before: Mapping[str, int]) -> None:
        """Until /diagnostics counts more drops of a reason than before."""
        self.wait_for(
            lambda: self.drops.get(reason, 0) > before.get(reason, 0),
            f"drops by '{reason}' beyond {dict(before)}",
        )

    def wait_for(
        self, condition: Callable[[], bool], what: str, patience_s: float = PATIENCE_S
    ) -> None:
        deadline = time.monotonic() + patience_s
        while not condition():
            assert time.monotonic() < deadline, (
                f"waited in vain for {what}; {len(self.clouds)} clouds, told: {self.values}"
            )
            time.sleep(0.02)

    def _on_output(self, topic: str, message: Any) -> None:
        stamp_ns = lag_ns = 0
        if isinstance(message, PointCloud2):
            stamp_ns = nanoseconds_from_stamp(message.header.stamp)
            lag_ns = self.now_ns - stamp_ns
        self.heard[topic].append(Heard(time.monotonic(), stamp_ns, lag_ns * 1e-9))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        ours = [status for status in message.status if status.name.startswith(self._prefix)]
        if ours:
            self._levels = {s.name.removeprefix(self._prefix): ord(s.level) for s in ours}
            self._values = {pair.key: pair.value for s in ours for pair in s.values}
            self.reports += 1

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return
