"""The online API: memory across frames, missing cameras, velocities, timings."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gfocc_core.config import Config
from gfocc_core.inference import InferenceConfig
from gfocc_core.model import Memory
from gfocc_core.predictor import OccupancyPredictor
from gfocc_core.preprocess import preprocess
from gfocc_core.voxelizer import voxelize_labels
from tests.core.conftest import MakeFrame


@pytest.fixture
def predictor(small_config: Config) -> OccupancyPredictor:
    return OccupancyPredictor.from_config(small_config, device="cpu", seed=1)


def test_the_first_frame_runs_twice_through_the_decoder(
    predictor: OccupancyPredictor, make_frame: MakeFrame
) -> None:
    predictor.predict(make_frame())
    assert predictor.state is not None
    with torch.no_grad():
        images, view = preprocess(make_frame(), predictor.config.image, "cpu")
        levels = predictor.network.encode(images)
        first = predictor.network.decode(levels, view)
        second = predictor.network.decode(levels, view, Memory(first.means, first.features))
    # The CPU's encoder has its batch norms in its convolutions, which rounds differently.
    torch.testing.assert_close(predictor.state.means, second.means[0], rtol=0, atol=1e-4)


def test_memory_changes_the_answer_and_reset_forgets_it(
    predictor: OccupancyPredictor, make_frame: MakeFrame
) -> None:
    first, second = make_frame(seed=0), make_frame(seed=1, stamp=0.5, x=2.0)
    fresh = predictor.predict(second)
    predictor.reset()
    predictor.predict(first)
    remembered = predictor.predict(second)
    predictor.reset()
    again = predictor.predict(second)
    assert torch.equal(fresh.density, again.density)
    assert not torch.equal(fresh.density, remembered.density)


@pytest.mark.parametrize("change", [{"stamp": -1.0}, {"stamp": 9.0}, {"scene": "another"}])
def test_a_break_in_the_stream_starts_anew(
    predictor: OccupancyPredictor, make_frame: MakeFrame, change: dict[str, object]
) -> None:
    later = make_frame(seed=1, **change)
    fresh = predictor.predict(later)
    predictor.reset()
    predictor.predict(make_frame(seed=0))
    after_break = predictor.predict(later)
    assert torch.equal(fresh.density, after_break.density)


def test_frames_at_12_hz_form_interleaved_chains_of_the_learned_rhythm(
    predictor: OccupancyPredictor, make_frame: MakeFrame
) -> None:
    frames = [make_frame(seed=k, stamp=k / 12, x=0.4 * k) for k in range(19)]
    wanted = [predictor.predict(frame).density for frame in frames[::6]]
    predictor.reset()
    assert predictor.memory_age_s is None
    found: list[torch.Tensor] = []
    ages: list[float | None] = []
    for frame in frames:
        found.append(predictor.predict(frame).density)
        ages.append(predictor.memory_age_s)
    assert all(torch.equal(*pair) for pair in zip(found[::6], wanted, strict=True))
    assert ages[0] is None
    assert ages[1:6] == pytest.approx([k / 12 for k in range(1, 6)])
    assert ages[6:] == pytest.approx([0.5] * 13)


def test_the_interval_of_memory_may_change_between_frames(
    predictor: OccupancyPredictor, make_frame: MakeFrame
) -> None:
    for number in range(7):
        predictor.predict(make_frame(seed=number, stamp=number / 10))
    assert predictor.memory_age_s == pytest.approx(0.5)
    temporal = replace(predictor.config.temporal, memory_interval=0.0)
    predictor.config = replace(predictor.config, temporal=temporal)
    predictor.predict(make_frame(seed=7, stamp=0.7))
    assert predictor.memory_age_s == pytest.approx(0.1)


def test_a_frame_that_is_taken_back_leaves_no_trace(
    predictor: OccupancyPredictor, make_frame: MakeFrame
) -> None:
    kept = [make_frame(seed=0), make_frame(seed=2, stamp=0.6, x=1.0)]
    wanted = [predictor.predict(frame) for frame in kept]
    predictor.reset()
    found = [predictor.predict(kept[0])]
    for damaged in (
        make_frame(seed=1, stamp=0.5, x=1.0),
        make_frame(seed=1, stamp=0.6, scene="another"),
    ):
        predictor.predict(damaged)
        predictor.take_back()
        assert (predictor.gaussians, predictor.memory_age_s) == (None, None)
        with pytest.raises(ValueError, match="no frame to take back"):
            predictor.take_back()
        with pytest.raises(ValueError, match="no frame yet"):
            predictor.forecast([0.5])
    found.append(predictor.predict(kept[1]))
    assert predictor.memory_age_s == pytest.approx(0.6)
    for one, other in zip(found, wanted, strict=True):
        assert torch.equal(one.density, other.density)


def test_the_gaussians_are_those_of_the_last_frame(
    predictor: OccupancyPredictor, make_frame: MakeFrame
) -> None:
    assert predictor.gaussians is None
    for number in range(2):
        occupancy = predictor.predict(make_frame(seed=number, stamp=0.5 * number, x=number))
        gaussians = predictor.gaussians
        assert gaussians is not None
        assert len(gaussians) == predictor.config.model.gaussians
        labels, _ = voxelize_labels(gaussians, predictor.grid, predictor.config.occupancy)
        assert torch.equal(labels, occupancy.labels)
    with pytest.raises(ValueError, match="no valid camera"):
        predictor.predict(make_frame(2, valid=(False, False)))
    assert predictor.gaussians is gaussians
    predictor.reset()
    assert predictor.gaussians is None


def test_occupancy_has_the_grids_shape_and_types(
    predictor: OccupancyPredictor, make_frame: MakeFrame
) -> None:
    occupancy = predictor.predict(make_frame(stamp=1.5))
    assert tuple(occupancy.labels.shape) == predictor.grid.shape
    assert occupancy.labels.dtype == torch.uint8
    assert occupancy.stamp_ns == 1_500_000_000
    assert occupancy.velocity is None
    assert list(occupancy.timings_ms) == ["total"]
    occupied = occupancy.labels != 17
    threshold = predictor.config.occupancy.threshold
    assert torch.equal(occupied, occupancy.density >= threshold)
    assert bool(occupied.any())


def test_stages_are_timed_if_asked_for(small_config: Config, make_frame: MakeFrame) -> None:
    inference = InferenceConfig(stage_timings=True)
    predictor = OccupancyPredictor.from_config(small_config, "cpu", inference=inference)
    for _ in range(2):
        timings = dict(predictor.predict(make_frame(), to_host=True).timings_ms)
        total = timings.pop("total")
        assert list(timings) == ["preprocess", "encode", "decode", "voxelize", "download"]
        assert min(timings.values()) >= 0
        assert 0.9 * total < sum(timings.values()) <= total


def test_velocity_is_bounded_by_the_gaussians_own_and_free_of_static_classes(
    predictor: OccupancyPredictor, make_frame: MakeFrame
) -> None:
    plain = predictor.predict(make_frame())
    predictor.reset()
    occupancy = predictor.predict(make_frame(), velocity=True)
    assert torch.equal(plain.labels, occupancy.labels)
    assert torch.allclose(plain.density, occupancy.density, atol=1e-6)
    assert occupancy.velocity is not None
    assert tuple(occupancy.velocity.shape) == (*predictor.grid.shape, 3)
    assert bool(occupancy.velocity.isfinite().all())
    assert predictor.state is not None
    offsets = predictor.network.flow.offsets(
        predictor.state.features[None], torch.ones(1, 1).long()
    )
    fastest = float(offsets.abs().max()) / predictor.config.temporal.frame_interval
    assert 0 < float(occupancy.velocity.abs().max()) <= fastest * 1.001


def test_warming_up_leaves_no_memory(predictor: OccupancyPredictor, make_frame: MakeFrame) -> None:
    fresh = predictor.predict(make_frame())
    predictor.reset()
    assert predictor.warm_up() > 0
    assert predictor.state is None
    assert predictor.gaussians is None
    assert torch.equal(predictor.predict(make_frame()).density, fresh.density)


def test_a_missing_camera_is_left_out(predictor: OccupancyPredictor, make_frame: MakeFrame) -> None:
    frame = make_frame(valid=(True, False, True, True, True, True))
    blank = replace(frame, images=(frame.images[0], torch.zeros(0, 0, 3).byte(), *frame.images[2:]))
    assert bool((predictor.predict(blank).labels != 17).any())


def test_frames_the_network_cannot_take_are_refused(
    predictor: OccupancyPredictor, make_frame: MakeFrame
) -> None:
    with pytest.raises(ValueError, match="has 7 cameras, the network knows 6"):
        predictor.predict(make_frame(7))
    with pytest.raises(ValueError, match="no valid camera"):
        predictor.predict(make_frame(2, valid=(False, False)))


def test_the_seed_fixes_random_weights(small_config: Config, make_frame: MakeFrame) -> None:
    torch.manual_seed(5)
    expected_draw = torch.rand(1)
    torch.manual_seed(5)
    predictors = [OccupancyPredictor.from_config(small_config, "cpu", seed) for seed in (3, 3, 4)]
    assert torch.equal(torch.rand(1), expected_draw)
    first, same, other = (p.predict(make_frame()).density for p in predictors)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_a_device_that_is_not_there_is_named(small_config: Config) -> None:
    with pytest.raises(ValueError, match="device 'cuda:99' cannot be used"):
        OccupancyPredictor.from_config(small_config, device="cuda:99")
