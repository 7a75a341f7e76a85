"""Read a ROS 2 bag of either storage message by message, as raw CDR bytes; for play_rosbag."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from rosbags.interfaces import Connection, ConnectionExtRosbag2, Qos
from rosbags.rosbag2 import Reader

from gfocc_ros.bags.command import BagError


@dataclass(frozen=True)
class RecordedTopic:
    """One topic of a bag."""

    name: str
    type_name: str
    """Such as `sensor_msgs/msg/CameraInfo`."""
    offered: tuple[Qos, ...]
    """QoS profiles of those who published it; empty where the bag does not say."""
    num_messages: int


@dataclass(frozen=True)
class RecordedMessage:
    """One message of a bag."""

    topic: str
    stamp_ns: int
    """When it was recorded."""
    cdr: bytes
    """The serialised message with its encapsulation header."""


class Recording:
    """An open bag; use it in a `with` statement.

    Raises:
        BagError: nothing there, not a bag, damaged, or empty.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise BagError(f"bag '{path}' does not exist")
        self.path = path
        try:
            self._reader = Reader(path)
            self._reader.open()
        except Exception as error:  # Foreign files fail in as many ways as there are formats.
            raise BagError(f"'{path}' is not a bag that can be read: {error}") from error
        if not self._reader.message_count:
            self._reader.close()
            raise BagError(f"bag '{path}' holds no message")
        self.start_ns = self._reader.start_time
        self.duration_s = (self._reader.duration - 1) / 1e9  # Their interval is half open.

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._reader.close()

    def topics(self) -> list[RecordedTopic]:
        """What was recorded, by name; a topic recorded with two types stands there twice."""
        grouped: dict[tuple[str, str], list[Connection]] = {}
        for connection in self._reader.connections:
            grouped.setdefault((connection.topic, connection.msgtype), []).append(connection)
        return [
            RecordedTopic(
                name, type_name, _offered(connections), sum(c.msgcount for c in connections)
            )
            for (name, type_name), connections in sorted(grouped.items())
        ]

    def messages(self, topics: Sequence[RecordedTopic]) -> Iterator[RecordedMessage]:
        """The messages of some topics in the order of their stamps."""
        wanted = {(topic.name, topic.type_name) for topic in topics}
        connections = [c for c in self._reader.connections if (c.topic, c.msgtype) in wanted]
        try:
            for connection, stamp_ns, data in self._reader.messages(connections):
                yield RecordedMessage(connection.topic, stamp_ns, bytes(data))
        except Exception as error:  # As above: whatever a damaged chunk or page leads to.
            raise BagError(f"bag '{self.path}' is damaged: {error}") from error


def _offered(connections: Sequence[Connection]) -> tuple[Qos, ...]:
    return tuple(
        qos
        for connection in connections
        if isinstance(connection.ext, ConnectionExtRosbag2)
        for qos in connection.ext.offered_qos_profiles
    )
