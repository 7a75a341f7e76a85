"""Memory follows the ego motion, keeps its rhythm, and is dropped when it no longer belongs."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gfocc_core.config import Config, ConfigError, TemporalConfig
from gfocc_core.frame import Frame
from gfocc_core.gaussians import Gaussians
from gfocc_core.geometry import transform_from
from gfocc_core.temporal import TemporalMemory, TemporalState, ego_motion
from tests.core.conftest import MakeFrame, make_rig

MS = 1_000_000


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


def frame_at(stamp_ns: int, scene: str = "scene") -> Frame:
    return Frame(
        (torch.zeros(90, 160, 3, dtype=torch.uint8),),
        make_rig(1),
        torch.eye(4, dtype=torch.float64),
        stamp_ns,
        (True,),
        scene,
    )


class Stream:
    """Frames that pass through a memory; each leaves a state."""

    def __init__(self, **temporal: float) -> None:
        self.config, self.memory = TemporalConfig(**temporal), TemporalMemory()
        self.longest = 0

    def age(self, stamp_ns: int, scene: str = "scene") -> float | None:
        """Seconds to the state that the next frame attends to."""
        frame = frame_at(stamp_ns, scene)
        found = self.memory.recall(frame, self.config)
        self.memory.remember(state_of(frame, (0.0, 0.0, 0.0)), self.config)
        self.longest = max(self.longest, len(self.memory))
        return found.age_at(frame) if found else None


def test_a_state_keeps_what_its_frame_had(make_frame: MakeFrame) -> None:
    means, ones = torch.zeros(1, 3), torch.ones(1, 1)
    gaussians = Gaussians(means, ones.expand(1, 3), ones.expand(1, 4), ones[0], ones, ones)
    state = TemporalState.from_frame(make_frame(), gaussians)
    means += 7
    ones += 7
    assert not state.means.any()
    assert state.features.item() == 1


@given(st.lists(st.integers(350, 1900), max_size=12))
def test_keyframes_attend_to_the_one_before(intervals_ms: list[int]) -> None:
    stream = Stream()
    stamps = list(itertools.accumulate(intervals_ms, initial=1000))
    ages = [stream.age(stamp * MS) for stamp in stamps]
    assert ages[0] is None
    assert ages[1:] == pytest.approx([interval / 1e3 for interval in intervals_ms])


@pytest.mark.parametrize("rate", [10, 12, 15])
def test_faster_cameras_keep_the_learned_rhythm(rate: int) -> None:
    stream = Stream()
    ages = [stream.age(round(number * 1e9 / rate)) for number in range(5 * rate)]
    start = rate // 2
    assert ages[0] is None
    assert ages[1 : start + 1] == pytest.approx([k / rate for k in range(1, start + 1)])
    assert all(abs(age - 0.5) <= 0.5 / rate + 1e-6 for age in ages[start:] if age is not None)
    assert stream.longest <= start + 3


@pytest.mark.parametrize("rate", [30, 60, 200, 1000])
def test_memory_stays_small_at_any_rate(rate: int) -> None:
    stream = Stream()
    ages = [stream.age(round(number * 1e9 / rate)) for number in range(2 * rate)]
    settled = [age for age in ages[rate:] if age is not None]
    assert len(settled) == rate
    assert max(abs(age - 0.5) for age in settled) <= 0.5 / 16 + 1 / rate
    assert stream.longest <= 20


@given(st.lists(st.integers(63, 900), max_size=40), st.sampled_from([0.0, 0.3, 0.5]))
def test_no_other_state_would_have_been_closer(intervals_ms: list[int], interval: float) -> None:
    stream, stamps = Stream(memory_interval=interval), [0]
    stream.age(0)
    for step in intervals_ms:
        now = stamps[-1] + step
        ages = [(now - stamp) / 1e3 for stamp in stamps]
        best = min(ages, key=lambda age: (abs(age - interval), age))
        found = stream.age(now * MS)
        assert found is not None
        assert abs(found - interval) == pytest.approx(abs(best - interval))
        stamps.append(now)


def test_an_interval_of_nothing_is_the_frame_before() -> None:
    stream = Stream(memory_interval=0.0)
    ages = [stream.age(number * 83 * MS) for number in range(9)]
    assert ages[1:] == pytest.approx([0.083] * 8)
    assert stream.longest == 2


def test_frames_of_one_stamp_attend_to_each_other() -> None:
    stream = Stream()
    assert [stream.age(5) for _ in range(50)] == [None] + [0.0] * 49
    assert stream.longest <= 3


@pytest.mark.parametrize(("stamp_ms", "scene"), [(1400, "scene"), (1500, "other"), (9000, "scene")])
def test_a_break_forgets_the_whole_chain(stamp_ms: int, scene: str) -> None:
    stream = Stream()
    for number in range(19):
        stream.age(number * 83 * MS)
    assert stream.age(stamp_ms * MS, scene) is None
    assert len(stream.memory) == 1
    assert stream.age((stamp_ms + 83) * MS, scene) == pytest.approx(0.083)


def test_after_a_pause_the_newest_is_what_there_is() -> None:
    stream = Stream(max_gap=1.0)
    for number in range(10):
        stream.age(number * 100 * MS)
    assert stream.age(1700 * MS) == pytest.approx(0.8)


def test_states_beyond_the_longest_gap_are_not_lent() -> None:
    stream = Stream(max_gap=0.25)
    ages = [stream.age(number * 100 * MS) for number in range(10)]
    assert ages[3:] == pytest.approx([0.2] * 7)


@pytest.mark.parametrize("interval", [-0.1, math.nan, math.inf])
def test_an_impossible_interval_is_named(interval: float) -> None:
    with pytest.raises(ConfigError, match=r"temporal.memory_interval must be >= 0 and finite"):
        TemporalConfig(memory_interval=interval)


def test_configurations_from_before_the_interval_still_load() -> None:
    loaded = Config.from_dict({"temporal": {"frame_interval": 0.5, "max_gap": 0.3}})
    assert loaded.temporal == TemporalConfig(max_gap=0.3, memory_interval=0.5)
