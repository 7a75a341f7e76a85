"""Feeds a tf buffer from a node and a thread of its own, as tf2's C++ listener does.

Transforms come often, and rclpy's executor looks at every entity of its nodes each time it wakes:
on the node with the cameras, its parameters and services each transform would cost a multiple, and
images would wait in line behind transforms.
"""

from __future__ import annotations

import threading

from rclpy.executors import ExternalShutdownException, ShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter

from gfocc_ros.compat import tf


class TfListener:
    """Listens from construction until `close`."""

    def __init__(self, buffer: tf.Buffer, owner: Node) -> None:
        """Feed a buffer; the hidden node's name and namespace follow the owner's."""
        name = f"_{owner.get_name()}_tf"
        self._node = Node(
            name,
            context=owner.context,
            # A rule given to the process for its node's name would rename this one as well.
            cli_args=["--ros-args", "-r", f"__node:={name}"],
            namespace=owner.get_namespace(),
            enable_rosout=False,
            start_parameter_services=False,
            parameter_overrides=[
                Parameter("use_sim_time", value=False),  # nobody asks it for the time
                Parameter("start_type_description_service", value=False),
            ],
        )
        self._listener = tf.TransformListener(buffer, self._node, spin_thread=False)
        self._executor = SingleThreadedExecutor(context=owner.context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, name="tf", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening and take the node back."""
        self._executor.shutdown()
        self._thread.join()
        self._listener.unregister()
        self._node.destroy_node()

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except (ExternalShutdownException, ShutdownException):
            return
