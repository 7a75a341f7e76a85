"""The one place where gfocc gets tf from: tf2_ros where it is installed, else our stand-in."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the stand-in is typed and has no name that tf2_ros lacks
    from gfocc_ros.compat.tf2_ros import (
        Buffer,
        ConnectivityException,
        ExtrapolationException,
        InvalidArgumentException,
        LookupException,
        StaticTransformBroadcaster,
        TransformBroadcaster,
        TransformException,
        TransformListener,
    )
else:
    try:
        from tf2_ros import (
            Buffer,
            ConnectivityException,
            ExtrapolationException,
            InvalidArgumentException,
            LookupException,
            StaticTransformBroadcaster,
            TransformBroadcaster,
            TransformException,
            TransformListener,
        )
    except ImportError:
        from gfocc_ros.compat.tf2_ros import (
            Buffer,
            ConnectivityException,
            ExtrapolationException,
            InvalidArgumentException,
            LookupException,
            StaticTransformBroadcaster,
            TransformBroadcaster,
            TransformException,
            TransformListener,
        )

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
