"""Stamps and headers keep every nanosecond."""

from __future__ import annotations

import pytest

from gfocc_ros.messages import header_at, nanoseconds_from_stamp, stamp_from_nanoseconds

STAMP_NS = 1_532_402_927_612_460_123


@pytest.mark.parametrize("stamp_ns", [0, 1, 999_999_999, 1_000_000_000, STAMP_NS])
def test_stamps_round_trip(stamp_ns: int) -> None:
    assert nanoseconds_from_stamp(stamp_from_nanoseconds(stamp_ns)) == stamp_ns


def test_a_header_carries_the_frame_and_the_stamp() -> None:
    header = header_at(STAMP_NS, "robot/base")
    assert header.frame_id == "robot/base"
    assert nanoseconds_from_stamp(header.stamp) == STAMP_NS
