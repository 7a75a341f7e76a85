"""RewindableBuffer: a bag may start again under it, and what is static may change."""

from __future__ import annotations

import itertools
import time

import pytest

from gfocc_ros.tf import tf_buffer
from gfocc_ros.tf.tf_buffer import RewindableBuffer
from tests.ros.tf_messages import at, link, shifted


def test_the_old_run_is_gone_before_anyone_clears() -> None:
    """Else a pose between the new run's newest and the old run's oldest would be a mixture."""
    buffer = RewindableBuffer()
    for second in range(8):
        buffer.set_transform(link("odom", "base_link", at(second), shifted(second)), "test")
    buffer.set_transform(link("odom", "base_link", at(0), shifted(500)), "test")
    buffer.set_transform(link("odom", "base_link", at(0.1), shifted(510)), "test")
    found = buffer.lookup_transform("odom", "base_link", at(0.05))
    assert found.transform.translation.x == pytest.approx(505)
    assert not buffer.can_transform("odom", "base_link", at(0.5))


@pytest.mark.parametrize("clears", list(itertools.product([0, 1, 2], repeat=3)))
def test_it_does_not_matter_when_or_how_often_a_jump_is_noticed(clears: tuple[int, ...]) -> None:
    """Two links restart 5 s back, one after the other, and others clear before, between, after."""
    buffer = RewindableBuffer()
    for seconds in (5.0, 5.1):
        buffer.set_transform(link("map", "odom", at(seconds), shifted(1)), "test")
        buffer.set_transform(link("odom", "base_link", at(seconds), shifted(1)), "test")
    restart = [
        link("map", "odom", at(0), shifted(30)),
        link("odom", "base_link", at(0), shifted(4)),
    ]
    for message, times in zip([*restart, None], clears, strict=True):
        for _ in range(times):
            buffer.clear()
        if message is not None:
            buffer.set_transform(message, "test")
    assert buffer.lookup_transform("map", "base_link", at(0)).transform.translation.x == 34
    assert not buffer.can_transform("map", "base_link", at(5))


def test_slightly_swapped_messages_keep_the_history() -> None:
    buffer = RewindableBuffer()
    for seconds in (0.0, 1.0, 1.02, 1.01, 1.03):
        buffer.set_transform(link("odom", "base_link", at(seconds), shifted(seconds)), "test")
    for seconds in (0.5, 1.005, 1.025):
        found = buffer.lookup_transform("odom", "base_link", at(seconds))
        assert found.transform.translation.x == pytest.approx(seconds)


def test_a_jump_long_ago_does_not_outlive_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tf_buffer, "JUMP_MEMORY_S", 0.05)
    buffer = RewindableBuffer()
    for seconds in (9.0, 0.0):
        buffer.set_transform(link("odom", "base_link", at(seconds), shifted(1)), "test")
    time.sleep(0.06)
    buffer.clear()
    assert not buffer.can_transform("odom", "base_link", at(0))


def test_an_outage_of_the_old_run_is_forgotten_with_it() -> None:
    buffer = RewindableBuffer()
    for seconds in (0.0, 4.0):
        buffer.set_transform(link("odom", "base_link", at(seconds), shifted(seconds)), "test")
    assert buffer.outage("odom", "base_link", at(2).nanoseconds)
    for seconds in (0.0, 0.9, 1.8, 2.7):
        buffer.set_transform(link("odom", "base_link", at(seconds), shifted(seconds)), "test")
    assert not buffer.outage("odom", "base_link", at(2).nanoseconds)
