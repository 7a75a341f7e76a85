"""Memory follows the ego motion and is dropped when it no longer belongs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gfocc_core.config import TemporalConfig
from gfocc_core.gaussians import Gaussians
from gfocc_core.geometry import transform_from
from gfocc_core.temporal import TemporalState, ego_motion
from tests.core.conftest import MakeFrame


def state_of(frame: object, point: tuple[float, float, float]) -> TemporalState:
    means = torch.tensor([point])
    ones = torch.ones(1, 1)
    return TemporalState.from_frame(
        frame,  # type: ignore[arg-type]
        Gaussians(means, ones.expand(1, 3), ones.expand(1, 4), ones[0], ones, ones),
    )


def test_a_still_point_comes_nearer_as_the_vehicle_drives_on(make_frame: MakeFrame) -> None:
    state = state_of(make_frame(x=5000.0), (10.0, 2.0, 0.5))
    moved = state.means_in(make_frame(x=5003.0).global_from_ego)
    assert moved[0].tolist() == pytest.approx([7.0, 2.0, 0.5], abs=1e-5)


def test_a_left_turn_moves_the_point_ahead_to_the_right(make_frame: MakeFrame) -> None:
    state = state_of(make_frame(), (10.0, 0.0, 0.0))
    quarter_left = transform_from(
        torch.zeros(3, dtype=torch.float64),
        torch.tensor([0.5**0.5, 0.0, 0.0, 0.5**0.5], dtype=torch.float64),
    )
    assert state.means_in(quarter_left)[0].tolist() == pytest.approx([0.0, -10.0, 0.0], abs=1e-5)


def test_far_from_the_origin_millimetres_survive() -> None:
    before = torch.eye(4, dtype=torch.float64)
    before[:3, 3] = torch.tensor([123456.789, 987654.321, 12.0])
    now = before.clone()
    now[0, 3] += 0.001
    assert float(ego_motion(before, now)[0, 3]) == pytest.approx(-0.001, abs=1e-9)


@pytest.mark.parametrize(
    ("stamp", "scene", "reason"),
    [
        (0.5, "scene", None),
        (0.0, "scene", None),
        (2.0, "scene", None),
        (2.1, "scene", "gap of 2.100 s"),
        (-0.1, "scene", "time jumped back by 0.100 s"),
        (0.5, "other", "scene changed from 'scene' to 'other'"),
    ],
)
def test_when_memory_is_dropped(
    make_frame: MakeFrame, stamp: float, scene: str, reason: str | None
) -> None:
    state = state_of(make_frame(), (1.0, 0.0, 0.0))
    later = replace(make_frame(stamp=10 + stamp), scene=scene)
    state = replace(state, stamp_ns=10 * 10**9)
    found = state.broken_by(later, TemporalConfig(max_gap=2.0))
    assert found is None if reason is None else found is not None and found.startswith(reason)
