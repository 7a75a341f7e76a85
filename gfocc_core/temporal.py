"""What the network remembers between frames, and when it must forget.

The state's means live in the ego frame of the frame that made them; they are moved into
a new ego frame by the ego motion between both (ALGORITHM 4).

The network learned with a fixed time between a frame and its memory, cameras deliver at any rate:
TemporalMemory keeps a short chain of states and lends the one of about the learned age, so that
frames at a higher rate form interleaved streams of the learned rhythm.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch
from torch import Tensor

from gfocc_core.config import TemporalConfig
from gfocc_core.frame import Frame
from gfocc_core.gaussians import Gaussians
from gfocc_core.geometry import invert_transform, transform_points

_log = logging.getLogger(__name__)

_STATES_PER_INTERVAL = 8
"""How finely states are kept at high rates: 63 ms of the usual 0.5 s, so that the chosen age is at
most half of that off."""


@dataclass(frozen=True)
class TemporalState:
    """The Gaussians of one past frame, reduced to what the decoder attends to."""

    means: Tensor
    """[N, 3] metres in the ego frame of that past frame."""
    features: Tensor
    """[N, C]"""
    global_from_ego: Tensor
    """[4, 4] float64 pose of that ego frame."""
    stamp_ns: int
    scene: str

    @classmethod
    def from_frame(cls, frame: Frame, gaussians: Gaussians) -> TemporalState:
        """The state that a frame's Gaussians (unbatched) leave behind: copies, which outlive them."""
        return cls(
            gaussians.means.detach().clone(),
            gaussians.features.detach().clone(),
            frame.global_from_ego.double(),
            frame.stamp_ns,
            frame.scene,
        )

    def means_in(self, global_from_ego: Tensor) -> Tensor:
        """Means [N, 3] moved into the ego frame whose pose is given ([4, 4] float64)."""
        now_from_before = ego_motion(self.global_from_ego, global_from_ego)
        return transform_points(now_from_before.to(self.means), self.means)

    def age_at(self, frame: Frame) -> float:
        """Seconds from this state to a frame."""
        return (frame.stamp_ns - self.stamp_ns) * 1e-9

    def broken_by(self, frame: Frame, config: TemporalConfig) -> str | None:
        """Why this state must not be carried into a frame, or None if it may."""
        if frame.scene != self.scene:
            return f"scene changed from '{self.scene}' to '{frame.scene}'"
        gap = self.age_at(frame)
        if gap < 0:
            return f"time jumped back by {-gap:.3f} s"
        if gap > config.max_gap:
            return f"gap of {gap:.3f} s is longer than {config.max_gap} s"
        return None


class TemporalMemory:
    """The past states of one stream that a frame to come may attend to.

    Holds at most some 20 states, whatever the rate of frames: any three in a row span at least
    1/8 of the memory interval.
    """

    def __init__(self) -> None:
        self._states: list[TemporalState] = []
        self._before: list[TemporalState] = []

    def __len__(self) -> int:
        return len(self._states)

    @property
    def newest(self) -> TemporalState | None:
        """The last frame's state."""
        return self._states[-1] if self._states else None

    def clear(self) -> None:
        self._states, self._before = [], []

    def take_back(self) -> None:
        """Undo the last `recall` and what followed it, as if its frame had never come."""
        self._states = list(self._before)

    def recall(self, frame: Frame, config: TemporalConfig) -> TemporalState | None:
        """The state whose age is closest to `config.memory_interval`, of equals the newer.

        States that must not be carried into the frame are forgotten together with all before
        them, and so are those that no later frame can want.
        """
        self._before = list(self._states)
        self._forget_broken(frame, config)
        if not self._states:
            return None
        misses = [abs(state.age_at(frame) - config.memory_interval) for state in self._states]
        chosen = min(range(len(misses)), key=lambda index: (misses[index], -index))
        del self._states[:chosen]  # older ones only get further from the interval
        return self._states[0]

    def remember(self, state: TemporalState, config: TemporalConfig) -> None:
        """Append the state of the frame that `recall` was last asked for."""
        span_ns = config.memory_interval * 1e9 / _STATES_PER_INTERVAL
        if len(self._states) > 1 and state.stamp_ns - self._states[-2].stamp_ns < span_ns:
            self._states.pop()
        self._states.append(state)

    def _forget_broken(self, frame: Frame, config: TemporalConfig) -> None:
        for index in reversed(range(len(self._states))):
            reason = self._states[index].broken_by(frame, config)
            if reason is not None:
                if index == len(self._states) - 1:
                    _log.info("memory dropped: %s", reason)
                del self._states[: index + 1]
                return


def ego_motion(global_from_before: Tensor, global_from_now: Tensor) -> Tensor:
    """`now_from_before` [..., 4, 4] in float64, where kilometres cancel without loss."""
    inverse = invert_transform(global_from_now.double())
    return torch.matmul(inverse, global_from_before.double().to(inverse.device))
