"""Where many moving things are at one time, all at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gfocc_core.synthetic.parts import Array, pose_from
from gfocc_core.synthetic.world import Trajectory


class Motions:
    """`Trajectory.pose_at` for many trajectories."""

    def __init__(self, paths: Sequence[Trajectory]) -> None:
        self._times = [path.times for path in paths]
        counts = [len(times) for times in self._times]
        self._first = np.cumsum([0, *counts])[:-1]
        samples = [np.concatenate([path.positions, path.angles], 1) for path in paths]
        self._samples = np.concatenate(samples) if samples else np.zeros((0, 6))

    def poses_at(self, time: float) -> Array:
        """world_from_object [N, 4, 4]."""
        place = [_place_in(times, time) for times in self._times]
        before = self._first + np.array([index for index, _ in place], np.int64)
        weight = np.array([share for _, share in place])[:, None]
        after = before + (weight[:, 0] > 0)
        state = self._samples[before] * (1 - weight) + self._samples[after] * weight
        return pose_from(state[:, :3], state[:, 3:])


def _place_in(times: Array, time: float) -> tuple[int, float]:
    """Index of the sample before a time, and how far (0 to 1) the time is towards the next."""
    index = int(times.searchsorted(time, "right")) - 1
    if index < 0:
        return 0, 0.0
    if index >= len(times) - 1:
        return len(times) - 1, 0.0
    return index, float((time - times[index]) / (times[index + 1] - times[index]))
