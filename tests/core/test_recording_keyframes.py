"""Which images of a recording become keyframes."""

from __future__ import annotations

import numpy as np
import pytest

from gfocc_core.config import ConfigError
from gfocc_core.data.recording_keyframes import KeyframeRules, choose_keyframes, nearest_images
from tests.core.recording_fixture import stamps


@pytest.mark.parametrize("rate_hz", [4.0, 7.0, 10.0, 12.0, 30.0])
def test_keyframes_are_two_per_second_at_any_rate_of_the_camera(rate_hz: float) -> None:
    times = np.arange(0, 20, 1 / rate_hz)
    (chosen,) = choose_keyframes(stamps(times), 2.0)
    gaps = np.diff(times[chosen])
    assert np.abs(gaps[:-1] - 0.5).max() <= 0.5 / rate_hz + 1e-6
    assert 0.375 <= gaps[-1] <= 0.75
    assert abs(gaps.mean() - 0.5) < 0.08
    assert chosen[0] == 0
    assert times[-1] - times[chosen[-1]] < 0.75


def test_a_camera_of_two_images_per_second_is_taken_whole_for_all_its_jitter() -> None:
    times = np.arange(30) / 2 + np.random.default_rng(0).uniform(-0.02, 0.02, 30)
    (chosen,) = choose_keyframes(stamps(times), 2.0)
    assert chosen.tolist() == list(range(30))


def test_a_lost_image_gives_way_to_its_neighbour() -> None:
    times = np.delete(np.arange(0, 3, 0.1), [5, 10])
    (chosen,) = choose_keyframes(stamps(times), 2.0)
    assert np.diff(times[chosen]).min() >= 0.375
    assert np.diff(times[chosen]).max() <= 0.75


def test_a_pause_begins_a_new_stretch() -> None:
    times = np.r_[np.arange(0, 2, 0.1), np.arange(5, 7, 0.1)]
    first, second = choose_keyframes(stamps(times), 2.0)
    np.testing.assert_allclose(times[first], [0, 0.5, 1, 1.5])
    np.testing.assert_allclose(times[second], [5, 5.5, 6, 6.5])


def test_a_slow_camera_gives_stretches_of_one() -> None:
    assert [len(rows) for rows in choose_keyframes(stamps([0, 1, 2]), 2.0)] == [1, 1, 1]
    assert [len(rows) for rows in choose_keyframes(stamps([0, 1, 2]), 1.0)] == [3]
    assert choose_keyframes(stamps([]), 2.0) == []


def test_each_camera_gives_its_nearest_image_within_the_slop() -> None:
    times = [0.0, 0.1, 0.2, 0.9]
    asked = [-0.05, 0.04, 0.05, 0.06, 0.24, 0.6, 2.0]
    found = nearest_images(stamps(times), stamps(asked), 0.05)
    assert found.tolist() == [0, 0, 0, 1, 2, -1, -1]
    assert nearest_images(stamps([]), stamps(asked), 1.0).tolist() == [-1] * len(asked)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rate_hz": 0.0}, "rate_hz must be positive, got 0.0"),
        ({"rate_hz": float("nan")}, "rate_hz must be positive"),
        ({"longest_pose_gap_s": -1.0}, "longest_pose_gap_s must be positive, got -1.0"),
        ({"slop_s": -0.1}, "slop_s must be at least 0"),
        ({"slop_s": 0.2}, r"below 0.375 / rate_hz \(0.1875\)"),
        ({"rate_hz": 10.0}, r"below 0.375 / rate_hz \(0.0375\).*got 0.06"),
    ],
)
def test_rules_that_cannot_be_are_named(values: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        KeyframeRules(**values)  # type: ignore[arg-type]
