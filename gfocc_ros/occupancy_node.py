"""The executable `occupancy_node`: runs the node until SIGINT or SIGTERM.

Both signals end it at once and with exit code 0, also while torch or the network still load.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import rclpy
from rclpy.executors import ExternalShutdownException

if TYPE_CHECKING:
    from gfocc_ros.node import OccupancyNode


def main(args: Sequence[str] | None = None) -> int:
    """Run the node; returns 2 after an error in what was given, else ends the process with 0."""
    # Before rclpy's own handlers, which call these: a signal interrupts whatever runs.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    node: OccupancyNode | None = None
    try:
        try:
            rclpy.init(args=None if args is None else list(args))
        except Exception as error:  # rclpy's class for bad arguments differs between releases
            return _refuse(error)
        from gfocc_ros.node import OccupancyNode  # imports torch, which takes seconds

        try:
            node = OccupancyNode()
        except ValueError as error:
            return _refuse(error)
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except Exception:
        if rclpy.ok():
            raise  # else a signal ended the context under rclpy's hands, which raises many things
    _shut_down(node)
    return 0


def _shut_down(node: OccupancyNode | None) -> None:
    """Leave the ROS graph and end the process.

    The interpreter is not torn down: with torch that takes over a second, and crashes if a
    prediction still runs.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not cut the exit
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if node is not None:
        node.stop()
        node.destroy_node()
    rclpy.try_shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _refuse(error: Exception) -> int:
    print(f"occupancy_node: {' '.join(str(error).split())}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
