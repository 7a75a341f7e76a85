"""A reader of every output that is much slower than they come: started by tests, not collected.

Reliable, as RViz asks, so that the node's side has to keep and send again; it sleeps over every
message. Prints "ready" once it has one of each and runs until it is ended.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy

from gfocc_ros.publishing.outputs import FRAME_TOPICS

SLEEP_S = 0.3


def main() -> None:
    (namespace,) = sys.argv[1:]
    rclpy.init()
    node = Node("slow_reader", namespace=namespace)
    missing = set(FRAME_TOPICS)

    def reader(topic: str) -> Any:
        def on_message(_: object) -> None:
            if topic in missing:
                missing.discard(topic)
                if not missing:
                    print("ready", flush=True)
            time.sleep(SLEEP_S)

        return on_message

    qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
    for topic, kind in FRAME_TOPICS.items():
        node.create_subscription(kind, f"occupancy/{topic}", reader(topic), qos)
    rclpy.spin(node)


if __name__ == "__main__":
    main()
