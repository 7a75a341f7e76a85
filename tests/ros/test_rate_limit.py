"""A rate limit gives its rate on average, whatever the frames' rhythm."""

from __future__ import annotations

import random

import pytest

from gfocc_ros.publishing.rate_limit import RateLimit


def passes(limit: RateLimit, rate_hz: float, times: list[float]) -> list[float]:
    passed = []
    for now_s in times:
        if limit.is_due(rate_hz, now_s):
            limit.passed(rate_hz, now_s)
            passed.append(now_s)
    return passed


def frames(
    rate_hz: float, seconds: float, jitter_s: float = 0.0, begin_s: float = 7.0
) -> list[float]:
    source = random.Random(0)
    return [
        begin_s + number / rate_hz + source.uniform(-jitter_s, jitter_s)
        for number in range(int(rate_hz * seconds))
    ]


@pytest.mark.parametrize("begin_s", [0.0, 7.0, 1.7e9])
@pytest.mark.parametrize(
    ("frame_hz", "limit_hz", "expected_hz"),
    [(10, 4, 4), (12, 5, 5), (10, 10, 10), (4, 10, 4), (10, 0, 10), (10, 0.5, 0.5), (30, 29, 29)],
)
def test_the_mean_rate_is_the_lower_of_both(
    frame_hz: float, limit_hz: float, expected_hz: float, begin_s: float
) -> None:
    times = frames(frame_hz, 60, jitter_s=0.1 / frame_hz, begin_s=begin_s)
    count = len(passes(RateLimit(), limit_hz, times))
    assert count == pytest.approx(60 * expected_hz, rel=0.02, abs=1)


def test_no_burst_follows_a_pause() -> None:
    limit = RateLimit()
    passes(limit, 1.0, frames(10, 3))
    times = frames(10, 3, begin_s=100.0)
    assert passes(limit, 1.0, times) == pytest.approx([100.0, 100.9, 101.9, 102.9], abs=1e-6)


def test_a_clock_that_is_set_back_does_not_silence() -> None:
    limit = RateLimit()
    passes(limit, 1.0, frames(10, 3, begin_s=1000.0))
    assert passes(limit, 1.0, [5.0, 5.1]) == [5.0]


def test_a_higher_rate_holds_at_once() -> None:
    limit = RateLimit()
    assert passes(limit, 0.01, [0.0, 1.0]) == [0.0]
    assert passes(limit, 1.0, [2.0, 2.1, 3.1]) == [2.0, 3.1]


def test_asking_alone_uses_nothing_up() -> None:
    limit = RateLimit()
    limit.passed(1.0, 0.0)
    assert all(limit.is_due(1.0, 1.0) for _ in range(3))
    assert not limit.is_due(1.0, 0.5)
