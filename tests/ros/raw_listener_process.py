"""Counts raw images of best effort, in a process of its own: started by tests, not collected.

Prints "ready" once it listens. When stdin ends it waits for what was sent and prints the number of
whole images of each camera, as JSON.
"""

from __future__ import annotations

import functools
import json
import sys
import threading

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from tests.ros.raw_cameras_process import CAMERAS, IMAGE_BYTES

PATIENCE_S = 15.0
HEADER_BYTES = 200
"""More than an image takes beside its pixels."""


def main() -> None:
    frames = int(sys.argv[1])
    rclpy.init()
    node = Node("raw_listener")
    counts = dict.fromkeys(CAMERAS, 0)
    news = threading.Condition()

    def note(camera: str, data: bytes) -> None:
        if IMAGE_BYTES < len(data) < IMAGE_BYTES + HEADER_BYTES:
            with news:
                counts[camera] += 1
                news.notify_all()

    qos = QoSProfile(depth=frames, reliability=ReliabilityPolicy.BEST_EFFORT)
    for camera in CAMERAS:
        on_image = functools.partial(note, camera)
        node.create_subscription(Image, f"/{camera}/image_rect", on_image, qos, raw=True)
    spinning = threading.Thread(target=_spin, args=(node,), daemon=True)
    spinning.start()
    print("ready", flush=True)
    sys.stdin.read()
    with news:
        news.wait_for(lambda: min(counts.values()) >= frames, PATIENCE_S)
        print(json.dumps(counts), flush=True)
    rclpy.shutdown()
    spinning.join()
    node.destroy_node()  # else its shared memory stays


def _spin(node: Node) -> None:
    try:
        rclpy.spin(node)
    except ExternalShutdownException:
        return


if __name__ == "__main__":
    main()
