"""The executable `occupancy_node`: runs the node until SIGINT or SIGTERM.

Both signals end it at once and with exit code 0, in every state of its life, also while torch or
the network still load.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import rclpy
from rclpy.executors import ExternalShutdownException

from gfocc_ros.large_images import use_large_images_profile
from gfocc_ros.prompt_exit import end_on_signals, end_process, ignore_signals, is_asked_to_end

if TYPE_CHECKING:
    from gfocc_ros.node import OccupancyNode

EXIT_LIMIT_S = 1.5
"""How long the whole exit may take after a signal."""
STOP_TIMEOUT_S = 0.8
"""How long a running prediction may hold up the exit."""

SIGNAL_DELAY_S = 0.05
"""How much later than rclpy, which ends its context, this process may learn of a signal."""

SWITCH_INTERVAL_S = 5e-4
"""How long a thread keeps Python's lock while another one waits for it. Python's own 5 ms are what
each handover from callbacks to a decoder or to the worker would cost."""


def main(args: Sequence[str] | None = None) -> int:
    """Run the node; returns 2 after an error in what was given, else ends the process with 0."""
    # Before torch loads: its threads would spin for milliseconds after each piece of work, on the
    # cores that decode and publish, and a machine with a processor quota is halted for it.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    end_on_signals(EXIT_LIMIT_S)  # before rclpy's own handlers, which call these
    made: list[OccupancyNode] = []
    try:
        code = _run(args, made)
        ignore_signals()
    except KeyboardInterrupt:  # out here: it may come while another exception is dealt with
        code = 0
        ignore_signals()
    if code:
        return code
    while made:
        node = made.pop()
        node.stop(STOP_TIMEOUT_S)
        node.destroy_node()
        del node
    _leave()
    return 0


def _run(args: Sequence[str] | None, made: list[OccupancyNode]) -> int:
    """Until the end is asked for; the node is put into `made`. Returns 2 for bad input, else 0."""
    try:
        concern = use_large_images_profile(harm="clouds of more than 0.5 MB may come late")
        try:
            rclpy.init(args=None if args is None else list(args))
        except Exception as error:  # rclpy's class for bad arguments differs between releases
            return _refuse(error)
        from gfocc_ros.node import OccupancyNode, TransitionError  # imports torch, for seconds

        try:
            node = OccupancyNode()
            made.append(node)
            if concern:
                node.get_logger().warning(concern)
            if node.parameters.autostart:
                node.start()
        except (ValueError, TransitionError) as error:
            if not is_asked_to_end():
                return _refuse(error)
            raise
        rclpy.spin(node)
    except ExternalShutdownException:
        pass
    except Exception:
        time.sleep(SIGNAL_DELAY_S)
        if not is_asked_to_end():
            raise  # else a signal ended the context under rclpy's hands, which raises many things
    return 0


def _leave() -> None:
    """Leave the ROS graph and end the process; nobody may hold the node any more.

    A lifecycle node lets go of DDS with its last reference: else its shared memory would stay.
    """
    gc.unfreeze()  # `configure` froze it
    gc.collect()
    rclpy.try_shutdown()
    end_process(0)


def _refuse(error: Exception) -> int:
    print(f"occupancy_node: {' '.join(str(error).split())}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
