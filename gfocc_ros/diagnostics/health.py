"""The rules of /diagnostics: what was seen in the last seconds, and how bad it is.

The worst finding wins, in the order ERROR, STALE, WARN, OK:

| status  | level | when |
|---|---|---|
| node    | ERROR | the node could not be configured or activated |
|         | OK    | otherwise, in whatever state a lifecycle manager keeps it |
| frames  | ERROR | a prediction failed in the last 10 s |
|         | STALE | no frame was predicted for `stale_after_s` |
|         | WARN  | more than `warn_drop_share` of the frames were dropped |
|         | WARN  | the forecast that someone listens to cannot be made |
| cameras | STALE | no camera sent an image for `stale_after_s` |
|         | WARN  | a camera sent none for `stale_after_s` |
|         | WARN  | more than `warn_drop_share` of the images were dropped |
|         | WARN  | a publisher's QoS does not fit: its messages never arrive |
| outputs | WARN  | a subscription's QoS does not fit: it gets nothing |

Drops of normal operation (a camera or reference faster than the network) count for nothing here.
Knows no ROS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from gfocc_ros.diagnostics.frame_statistics import WINDOW_S, FrameRecord
from gfocc_ros.frames.drops import QUIET_DROPS, Drop

LOST_FRAMES = frozenset(
    {Drop.QUEUE_FULL, Drop.NO_EGO_POSE, Drop.TOO_FEW_CAMERAS, Drop.PREDICTION_FAILED}
)
"""Reasons for which a whole frame is gone."""

_NOTHING_LOST = QUIET_DROPS | {Drop.ODOMETRY_JUMP}
"""Cost no image that was of use; what is in neither set cost a frame one camera."""


class Level(IntEnum):
    """Values of diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


@dataclass(frozen=True)
class Limits:
    """From where on something is wrong; the node's parameters of the same names."""

    stale_after_s: float
    warn_drop_share: float


@dataclass(frozen=True)
class Observation:
    """What an active node saw."""

    now_s: float
    """Monotonic clock."""
    active_since_s: float
    frames: tuple[FrameRecord, ...]
    """Of the last WINDOW_S seconds; the newest whatever its age."""
    drops: Mapping[Drop, int]
    """In the last WINDOW_S seconds."""
    images: int
    """That came in the last WINDOW_S seconds."""
    silent_cameras: tuple[str, ...]
    """Without an image for `stale_after_s`."""
    camera_count: int
    camera_mismatches: tuple[str, ...]
    """One sentence for each topic whose QoS does not fit."""
    output_mismatches: tuple[str, ...]
    """The same of the node's own topics."""
    forecast_error: str = ""


@dataclass(frozen=True)
class Finding:
    """How one part of the node is."""

    level: Level
    message: str


def judge_frames(seen: Observation, limits: Limits) -> Finding:
    """The status `frames`."""
    failed = seen.drops.get(Drop.PREDICTION_FAILED, 0)
    findings = []
    if failed:
        findings.append(Finding(Level.ERROR, f"{failed} predictions failed"))
    age_s = seen.now_s - (seen.frames[-1].done_s if seen.frames else seen.active_since_s)
    if age_s > limits.stale_after_s:
        findings.append(Finding(Level.STALE, f"no frame for {age_s:.1f} s"))
    lost = sum(count for drop, count in seen.drops.items() if drop in LOST_FRAMES)
    predicted = len(frames_within(seen))
    if _exceeds(lost, lost + predicted, limits):
        found = f"{lost} of {lost + predicted} frames dropped"
        findings.append(Finding(Level.WARN, found))
    if seen.forecast_error:
        findings.append(Finding(Level.WARN, f"no forecast: {seen.forecast_error}"))
    return _worst(findings, f"{frame_rate_hz(seen):.1f} Hz")


def judge_cameras(seen: Observation, limits: Limits) -> Finding:
    """The status `cameras`."""
    findings = []
    silent, waited_s = seen.silent_cameras, seen.now_s - seen.active_since_s
    if waited_s > limits.stale_after_s and silent:
        everything = len(silent) == seen.camera_count
        level = Level.STALE if everything else Level.WARN
        whose = "any camera" if everything else ", ".join(silent)
        findings.append(Finding(level, f"no image from {whose} for {limits.stale_after_s:.1f} s"))
    bad = sum(
        count for drop, count in seen.drops.items() if drop not in LOST_FRAMES | _NOTHING_LOST
    )
    # a silent camera's image never came: it is counted as dropped, so it belongs to the whole
    expected = seen.images + seen.drops.get(Drop.SILENT_CAMERA, 0)
    if _exceeds(bad, expected, limits):
        findings.append(Finding(Level.WARN, f"{bad} of {expected} images dropped"))
    findings += [Finding(Level.WARN, sentence) for sentence in seen.camera_mismatches]
    heard = seen.camera_count - len(silent)
    return _worst(findings, f"{heard} of {seen.camera_count} cameras")


def judge_outputs(seen: Observation) -> Finding:
    """The status `outputs`."""
    findings = [Finding(Level.WARN, sentence) for sentence in seen.output_mismatches]
    return _worst(findings, "QoS fits")


def frames_within(seen: Observation) -> tuple[FrameRecord, ...]:
    """Frames of the last WINDOW_S seconds."""
    return tuple(frame for frame in seen.frames if frame.done_s >= seen.now_s - WINDOW_S)


def frame_rate_hz(seen: Observation) -> float:
    """Frames per second over the window, or since activation where that is shorter."""
    span_s = min(WINDOW_S, seen.now_s - seen.active_since_s)
    return len(frames_within(seen)) / span_s if span_s > 0 else 0.0


def _exceeds(bad: int, whole: int, limits: Limits) -> bool:
    return whole > 0 and bad / whole > limits.warn_drop_share


_SEVERITY = (Level.OK, Level.WARN, Level.STALE, Level.ERROR)


def _worst(findings: list[Finding], fine: str) -> Finding:
    """The worst level with the messages of everything found, worst first."""
    if not findings:
        return Finding(Level.OK, fine)
    ranked = sorted(findings, key=lambda finding: -_SEVERITY.index(finding.level))
    return Finding(ranked[0].level, "; ".join(finding.message for finding in ranked))
