"""What every message carries: stamps and headers."""

from __future__ import annotations

from builtin_interfaces.msg import Time
from std_msgs.msg import Header

NANOSECONDS = 1_000_000_000


def stamp_from_nanoseconds(stamp_ns: int) -> Time:
    return Time(sec=stamp_ns // NANOSECONDS, nanosec=stamp_ns % NANOSECONDS)


def nanoseconds_from_stamp(stamp: Time) -> int:
    return int(stamp.sec) * NANOSECONDS + int(stamp.nanosec)


def header_at(stamp_ns: int, frame_id: str) -> Header:
    return Header(stamp=stamp_from_nanoseconds(stamp_ns), frame_id=frame_id)
