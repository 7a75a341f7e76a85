"""The reader of the ROS latency benchmark, in a process of its own.

Prints "ready" once it listens. When stdin ends it writes one line of JSON: when (monotonic clock,
s) the cloud of each stamp came, and what /diagnostics said of the node, report by report.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from sensor_msgs.msg import PointCloud2

from gfocc_ros.messages import nanoseconds_from_stamp
from gfocc_ros.publishing.outputs import FRAME_TOPICS

DEPTH = 20


class Reader:
    """Notes what comes from construction on."""

    def __init__(self, node: Node, outputs: list[str]) -> None:
        self.came: list[dict[str, float]] = []
        self.reports: list[dict[str, Any]] = []
        node.create_subscription(PointCloud2, "/occupancy/occupancy", self._on_cloud, DEPTH)
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, DEPTH)
        for topic in outputs:
            if topic != "occupancy":  # only asked for: nothing is measured of these
                kind = FRAME_TOPICS[topic]
                node.create_subscription(kind, f"/occupancy/{topic}", _ignore, DEPTH, raw=True)

    def _on_cloud(self, cloud: PointCloud2) -> None:
        at = time.monotonic()
        stamp_ns = nanoseconds_from_stamp(cloud.header.stamp)
        self.came.append({"stamp_ns": stamp_ns, "at": at, "points": cloud.width})

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        values = {
            pair.key: pair.value
            for status in message.status
            if status.name.startswith("occupancy: ")
            for pair in status.values
        }
        self.reports.append({"at": time.monotonic(), "values": values})


def _ignore(_: bytes) -> None:
    return


def main() -> None:
    parser = argparse.ArgumentParser(description="the reader of the ROS latency benchmark")
    parser.add_argument("--outputs", nargs="+", required=True)
    given = parser.parse_args()
    rclpy.init()
    node = Node("reader")
    reader = Reader(node, given.outputs)
    print("ready", flush=True)
    threading.Thread(target=_spin, args=(node,), daemon=True).start()
    sys.stdin.read()
    print(json.dumps({"came": reader.came, "reports": reader.reports}), flush=True)


def _spin(node: Node) -> None:
    try:
        rclpy.spin(node)
    except ExternalShutdownException:
        return


if __name__ == "__main__":
    main()
