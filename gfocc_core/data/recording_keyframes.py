"""Which moments of a recording become keyframes, and which image of each camera belongs to them.

A keyframe is an image of the reference camera; the other cameras give their image nearest to it.
Training takes neighbouring keyframes as equally far apart in time, so that a pause in the images
ends a stretch: two stretches never share a training item.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gfocc_core.config import ConfigError

_NEAREST, _FARTHEST = 0.75, 1.5
"""Periods that two neighbouring keyframes may be apart."""
_JITTER = 0.1
"""Periods by which a keyframe may be early though no image comes after it."""

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class KeyframeRules:
    """How a recording is cut into keyframes."""

    rate_hz: float = 2.0
    """Keyframes per second; 2 is what the published network and its flow are made for."""
    slop_s: float = 0.06
    """Largest distance of a camera's image from the reference camera's, as the node's slop_s. A
    camera without such an image is missing in the keyframe, which stays."""
    reference_camera: str = ""
    """Whose images' stamps are the keyframes' stamps; empty: the first of the calibration."""
    longest_pose_gap_s: float = 0.5
    """Images between two poses that lie farther apart than this are left out."""

    def __post_init__(self) -> None:
        for name in ("rate_hz", "longest_pose_gap_s"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"{name} must be positive, got {value}")
        if not 0 <= self.slop_s < _NEAREST / 2 / self.rate_hz:
            raise ConfigError(
                f"slop_s must be at least 0 and below {_NEAREST / 2:g} / rate_hz "
                f"({_NEAREST / 2 / self.rate_hz:g}), so that no image is used twice, "
                f"got {self.slop_s}"
            )


def choose_keyframes(stamps_ns: Numbers, rate_hz: float) -> list[Numbers]:
    """Numbers of the reference images that become keyframes, a list per stretch.

    Within a stretch the next keyframe is the image nearest to a period after the last one, 0.75 to
    1.5 periods away; where there is none, or only one that is early because the images end, a stretch
    ends and the next image beyond begins another.

    Args:
        stamps_ns: int64 [N], oldest first.
        rate_hz: Keyframes per second.
    """
    period_ns = round(1e9 / rate_hz)
    stretches: list[Numbers] = []
    begin = 0
    while begin < len(stamps_ns):
        chosen = [begin]
        while (after := _next(stamps_ns, chosen[-1], period_ns)) is not None:
            chosen.append(after)
        stretches.append(np.array(chosen, np.int64))
        end = int(stamps_ns[chosen[-1]]) + round(_FARTHEST * period_ns)
        begin = int(np.searchsorted(stamps_ns, end))
    return stretches


def nearest_images(stamps_ns: Numbers, to_ns: Numbers, slop_s: float) -> Numbers:
    """Number of the image nearest to each of some stamps, the older of two; -1 beyond the slop.

    Args:
        stamps_ns: int64 [N] of the images, oldest first.
        to_ns: int64 [K]
        slop_s: Seconds.
    """
    if not len(stamps_ns):
        return np.full(len(to_ns), -1, np.int64)
    after = np.minimum(np.searchsorted(stamps_ns, to_ns), len(stamps_ns) - 1)
    before = np.maximum(after - 1, 0)
    older = np.abs(stamps_ns[before] - to_ns) <= np.abs(stamps_ns[after] - to_ns)
    nearest = np.where(older, before, after)
    near_enough = np.abs(stamps_ns[nearest] - to_ns) <= slop_s * 1e9
    return np.where(near_enough, nearest, -1).astype(np.int64)


def _next(stamps_ns: Numbers, last: int, period_ns: int) -> int | None:
    here = int(stamps_ns[last])
    reach = [here + round(factor * period_ns) for factor in (_NEAREST, _FARTHEST)]
    low, high = np.searchsorted(stamps_ns, np.array(reach, np.int64))
    if low == high:
        return None
    target = here + period_ns
    nearest = int(low + np.argmin(np.abs(stamps_ns[low:high] - target)))
    if nearest == high - 1 and target - int(stamps_ns[nearest]) > _JITTER * period_ns:
        return None
    return nearest
