"""A vehicle in a process of its own that publishes its tf: started by tests, not collected.

It drives along odom's x axis and turns about z, both at constant rate, in real time, with
stamps that begin at --start-ns; base_link -> camera is static: 1 m ahead, 2 m up. It prints
"ready" once the static link is out, sets off when somebody listens, and runs until it is ended.
"""

from __future__ import annotations

import argparse
import math
import time

import rclpy
from geometry_msgs.msg import TransformStamped

from gfocc_ros.compat import tf

PERIOD_NS = 20_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--start-ns", type=int, required=True)
    parser.add_argument("--speed", type=float, default=10.0, help="m/s")
    parser.add_argument("--yaw-rate", type=float, default=0.5, help="rad/s")
    options = parser.parse_args()

    rclpy.init()
    node = rclpy.create_node("vehicle")
    mount = TransformStamped()
    mount.header.frame_id, mount.child_frame_id = "base_link", "camera"
    mount.transform.translation.x, mount.transform.translation.z = 1.0, 2.0
    mounts = tf.StaticTransformBroadcaster(node)
    mounts.sendTransform(mount)
    print("ready", flush=True)

    broadcaster = tf.TransformBroadcaster(node)
    while broadcaster.pub_tf.get_subscription_count() == 0:  # else nobody learns where it began
        time.sleep(0.01)
    step = 0
    while rclpy.ok():
        moved = step * PERIOD_NS * 1e-9
        pose = TransformStamped()
        stamp = options.start_ns + step * PERIOD_NS
        pose.header.stamp.sec, pose.header.stamp.nanosec = divmod(stamp, 1_000_000_000)
        pose.header.frame_id, pose.child_frame_id = "odom", "base_link"
        pose.transform.translation.x = options.speed * moved
        pose.transform.rotation.z = math.sin(options.yaw_rate * moved / 2)
        pose.transform.rotation.w = math.cos(options.yaw_rate * moved / 2)
        broadcaster.sendTransform(pose)
        time.sleep(PERIOD_NS * 1e-9)
        step += 1


if __name__ == "__main__":
    main()
