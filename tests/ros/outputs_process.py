"""A node with only the outputs, in a process of its own: started by tests, not collected.

Sends one small prediction at 10 Hz under the name /occupancy, and its log to stderr. It prints
"ready" once the topics are advertised, and runs until it is ended.
"""

from __future__ import annotations

import itertools
import sys

import rclpy
from rclpy.node import Node

from gfocc_ros.publishing.outputs import Outputs, OutputSettings
from gfocc_ros.publishing.prediction import Prediction
from tests.ros.occupancy_scene import STAMP_NS, gaussians, occupancy, random_labels

PERIOD_S = 0.1


def main() -> None:
    rclpy.init(args=sys.argv)
    node = Node("occupancy")
    outputs = Outputs(node, OutputSettings())
    prediction = Prediction(
        occupancy(random_labels(0)),
        gaussians([0.5, 0.9]),
    )
    forecasts = (occupancy(random_labels(1), stamp_ns=STAMP_NS + 500_000_000),)
    ticks = itertools.count()

    def tick() -> None:
        now_s = next(ticks) * PERIOD_S
        outputs.wanted(now_s)
        outputs.publish(prediction, now_s)
        outputs.publish_forecast(forecasts, STAMP_NS, now_s)

    node.create_timer(PERIOD_S, tick)
    print("ready", flush=True)
    rclpy.spin(node)


if __name__ == "__main__":
    main()
