"""What is remembered of the last seconds' frames."""

from __future__ import annotations

from gfocc_ros.diagnostics.frame_statistics import WINDOW_S, FrameRecord, FrameStatistics, Spread


def record(done_s: float, **stages_ms: float) -> FrameRecord:
    return FrameRecord(done_s, stages_ms, {}, 0.0, 6, None)


def test_latency_is_the_sum_of_the_stages() -> None:
    assert record(0.0, wait=10.0, build=5.0, predict=20.0).latency_ms == 35


def test_old_frames_are_forgotten_but_counted_and_the_newest_stays() -> None:
    statistics = FrameStatistics()
    assert statistics.last is None
    for second in range(15):
        statistics.add(record(float(second)))
    assert [frame.done_s for frame in statistics.recent(14.0)] == list(range(4, 15))
    assert statistics.recent(14.0 + 10 * WINDOW_S) == (record(14.0),)
    assert statistics.total == 15
    assert statistics.last == record(14.0)


def test_spread_is_median_and_worst() -> None:
    assert Spread.of([1.0, 9.0, 2.0]) == Spread(2.0, 9.0)
    assert Spread.of([]) is None
