"""Stand-in for the part of tf2_ros that gfocc uses: same names, same arguments, same semantics.

Import it through `gfocc_ros.compat.tf`. Lookups that wait must run in another thread than the
executor that feeds the listener, as with tf2_ros.
"""

from __future__ import annotations

from gfocc_ros.compat.tf2_broadcast import StaticTransformBroadcaster, TransformBroadcaster
from gfocc_ros.compat.tf2_buffer import Buffer
from gfocc_ros.compat.tf2_exceptions import (
    ConnectivityException,
    ExtrapolationException,
    InvalidArgumentException,
    LookupException,
    TransformException,
)
from gfocc_ros.compat.tf2_listener import TransformListener

__all__ = [
    "Buffer",
    "ConnectivityException",
    "ExtrapolationException",
    "InvalidArgumentException",
    "LookupException",
    "StaticTransformBroadcaster",
    "TransformBroadcaster",
    "TransformException",
    "TransformListener",
]
