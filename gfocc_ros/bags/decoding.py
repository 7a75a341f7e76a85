"""Messages of a bag as objects, by the definitions that this package has; needs no ROS."""

from __future__ import annotations

from typing import Any

from gfocc_ros.bags.command import BagError
from gfocc_ros.bags.messages import TYPESTORE
from gfocc_ros.bags.recording import RecordedMessage


def decode(message: RecordedMessage, type_name: str) -> Any:
    """The message; BagError where its bytes are not one of this type."""
    try:
        return TYPESTORE.deserialize_cdr(message.cdr, type_name)
    except Exception as error:  # Foreign bytes fail in as many ways as there are fields.
        raise BagError(
            f"a message on '{message.topic}' is no {type_name}: {type(error).__name__}: {error}"
        ) from error
