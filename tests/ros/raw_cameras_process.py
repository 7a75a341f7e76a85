"""Six raw cameras of 1600x900 that fire at one moment: started by tests, not collected.

All are of one DDS participant and best effort, as in a vehicle's driver. It sends a number of
frames at a rate once it is heard, and ends.
"""

from __future__ import annotations

import sys
import time

import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from gfocc_ros.bags.publishers import SETTLE_S

CAMERAS = tuple(f"raw_{number}" for number in range(6))
WIDTH, HEIGHT = 1600, 900
IMAGE_BYTES = WIDTH * HEIGHT * 3
LINGER_S = 1.0
PATIENCE_S = 60.0


def main() -> None:
    frames, rate_hz = int(sys.argv[1]), float(sys.argv[2])
    rclpy.init()
    node = Node("raw_cameras")
    qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    publishers = [node.create_publisher(Image, f"/{name}/image_rect", qos) for name in CAMERAS]
    images = [
        Image(
            height=HEIGHT,
            width=WIDTH,
            encoding="bgr8",
            step=3 * WIDTH,
            data=bytes([number]) * IMAGE_BYTES,
        )
        for number in range(len(CAMERAS))
    ]
    deadline = time.monotonic() + PATIENCE_S
    while not all(publisher.get_subscription_count() for publisher in publishers):
        assert time.monotonic() < deadline, "nobody listens"
        time.sleep(0.05)
    time.sleep(SETTLE_S)
    began = time.monotonic()
    for frame in range(frames):
        time.sleep(max(0.0, began + frame / rate_hz - time.monotonic()))
        for publisher, image in zip(publishers, images, strict=True):
            image.header.stamp.sec = 1 + frame
            publisher.publish(image)
    time.sleep(LINGER_S)  # shared memory ends with its owner
    node.destroy_node()
    rclpy.shutdown()


if __name__ == "__main__":
    main()
