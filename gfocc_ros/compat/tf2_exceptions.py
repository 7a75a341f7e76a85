"""What a tf lookup raises, under tf2's names."""

from __future__ import annotations


class TransformException(Exception):  # noqa: N818 (tf2's name)
    """Any failure of a tf lookup."""


class LookupException(TransformException):
    """A frame is not known, or the frames form a loop."""


class ConnectivityException(TransformException):
    """Both frames are known, but no chain of transforms joins them."""


class ExtrapolationException(TransformException):
    """The chain exists, but a link of it has no data around the requested time."""


class InvalidArgumentException(TransformException):
    """A frame name is empty or begins with a slash."""
