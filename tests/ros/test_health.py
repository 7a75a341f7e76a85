"""The rules of /diagnostics, one by one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gfocc_ros.diagnostics.frame_statistics import FrameRecord
from gfocc_ros.diagnostics.health import (
    Finding,
    Level,
    Limits,
    Observation,
    frame_rate_hz,
    judge_cameras,
    judge_frames,
    judge_outputs,
)
from gfocc_ros.frames.drops import Drop

NOW_S = 1000.0
LIMITS = Limits(stale_after_s=2.0, warn_drop_share=0.1)


def frames(*ages_s: float) -> tuple[FrameRecord, ...]:
    return tuple(FrameRecord(NOW_S - age, {}, {}, 0.0, 6, None) for age in sorted(ages_s)[::-1])


HEALTHY = Observation(
    now_s=NOW_S,
    active_since_s=NOW_S - 60,
    frames=frames(*[0.5 * k for k in range(20)]),
    drops={},
    images=120,
    silent_cameras=(),
    camera_count=6,
    camera_mismatches=(),
    output_mismatches=(),
)


def seen(**changes: Any) -> Observation:
    return replace(HEALTHY, **changes)


def test_healthy_node_is_ok_and_tells_its_rate() -> None:
    assert frame_rate_hz(HEALTHY) == 2.0
    assert (judge_frames(HEALTHY, LIMITS).level, judge_frames(HEALTHY, LIMITS).message) == (
        Level.OK,
        "2.0 Hz",
    )
    assert judge_cameras(HEALTHY, LIMITS).level == Level.OK
    assert judge_cameras(HEALTHY, LIMITS).message == "6 of 6 cameras"


@pytest.mark.parametrize(
    ("changes", "level", "told"),
    [
        ({"frames": frames(1.9)}, Level.OK, ""),
        ({"frames": frames(2.1)}, Level.STALE, "no frame for 2.1 s"),
        ({"frames": (), "active_since_s": NOW_S - 1.0}, Level.OK, "0.0 Hz"),
        ({"frames": (), "active_since_s": NOW_S - 3.0}, Level.STALE, "no frame for 3.0 s"),
        ({"drops": {Drop.NO_EGO_POSE: 2}}, Level.OK, ""),
        ({"drops": {Drop.NO_EGO_POSE: 3}}, Level.WARN, "3 of 23 frames dropped"),
        ({"drops": {Drop.SUPERSEDED_FRAME: 500}}, Level.OK, ""),
        ({"drops": {Drop.UNDECODABLE_IMAGE: 100}}, Level.OK, ""),
        ({"drops": {Drop.PREDICTION_FAILED: 1}}, Level.ERROR, "1 predictions failed"),
        ({"forecast_error": "too far"}, Level.WARN, "no forecast: too far"),
    ],
)
def test_frames(changes: dict[str, Any], level: Level, told: str) -> None:
    finding = judge_frames(seen(**changes), LIMITS)
    assert finding.level == level
    assert told in finding.message


@pytest.mark.parametrize(
    ("changes", "level", "told"),
    [
        ({"silent_cameras": ("rear",)}, Level.WARN, "no image from rear for 2.0 s"),
        ({"silent_cameras": ("rear",), "camera_count": 1}, Level.STALE, "from any camera"),
        ({"silent_cameras": ("rear",), "active_since_s": NOW_S - 1}, Level.OK, "5 of 6 cameras"),
        ({"drops": {Drop.UNDECODABLE_IMAGE: 12}}, Level.OK, ""),
        ({"drops": {Drop.UNDECODABLE_IMAGE: 13}}, Level.WARN, "13 of 120 images dropped"),
        ({"drops": {Drop.SILENT_CAMERA: 20}}, Level.WARN, "20 of 140 images dropped"),
        ({"drops": {Drop.UNMATCHED_IMAGE: 500}}, Level.OK, ""),
        ({"drops": {Drop.NO_EGO_POSE: 20}}, Level.OK, ""),
        ({"camera_mismatches": ("/rear: reliability",)}, Level.WARN, "/rear: reliability"),
    ],
)
def test_cameras(changes: dict[str, Any], level: Level, told: str) -> None:
    finding = judge_cameras(seen(**changes), LIMITS)
    assert finding.level == level
    assert told in finding.message


def test_outputs_are_warned_of_where_a_subscription_gets_nothing() -> None:
    assert judge_outputs(HEALTHY) == Finding(Level.OK, "QoS fits")
    sentences = ("/grid: durability", "/occupancy: durability")
    unfit = judge_outputs(seen(output_mismatches=sentences))
    assert unfit == Finding(Level.WARN, "/grid: durability; /occupancy: durability")


def test_worst_level_wins_and_everything_found_is_told_worst_first() -> None:
    drops = {Drop.PREDICTION_FAILED: 5, Drop.TOO_FEW_CAMERAS: 5}
    finding = judge_frames(seen(frames=frames(30.0), drops=drops), LIMITS)
    assert finding.level == Level.ERROR
    parts = finding.message.split("; ")
    assert [part.split()[0] for part in parts] == ["5", "no", "10"]


def test_rate_counts_the_time_since_activation_where_that_is_shorter() -> None:
    assert frame_rate_hz(seen(active_since_s=NOW_S - 5, frames=frames(1, 2, 3, 4))) == 0.8
