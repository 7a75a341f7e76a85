"""Forecasts: moving Gaussians follow the flow, everything else stays, bad horizons are refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from gfocc_core.config import Config, TemporalConfig, preset
from gfocc_core.forecast import (
    _splat_still_once,
    _splat_whole,
    check_horizons,
    moved_gaussians,
)
from gfocc_core.gaussians import Gaussians
from gfocc_core.inference import InferenceConfig
from gfocc_core.model import GaussianFlowNetwork
from gfocc_core.predictor import OccupancyPredictor
from gfocc_core.taxonomy import CLASS_NAMES, FREE_ID
from gfocc_core.voxelizer import voxelize_labels
from tests.core.conftest import MakeFrame

CAR, ROAD = CLASS_NAMES.index("car"), CLASS_NAMES.index("driveable_surface")


@pytest.fixture
def predictor(small_config: Config) -> OccupancyPredictor:
    return OccupancyPredictor.from_config(small_config, device="cpu", seed=1)


def car_and_road(channels: int) -> Gaussians:
    """A car's Gaussian at x = 1 m, one of the road at x = -3 m."""
    logits = torch.zeros(2, 16)
    logits[0, CAR - 1] = logits[1, ROAD - 1] = 5.0
    return Gaussians(
        means=torch.tensor([[1.0, 0.2, 0.2], [-3.0, 0.2, 0.2]]),
        scales=torch.full((2, 3), 0.3),
        quats=torch.tensor([[1.0, 0, 0, 0]]).expand(2, 4),
        opacities=torch.ones(2),
        logits=logits,
        features=torch.zeros(2, channels),
    )


def squared_steps(features: Tensor, steps: Tensor) -> Tensor:
    """A flow that accelerates: step**2 metres ahead."""
    offsets = torch.zeros(*steps.shape, features.shape[1], 3)
    offsets[..., 0] = (steps.float() ** 2).unsqueeze(-1)
    return offsets


@pytest.fixture
def accelerating(small_config: Config, monkeypatch: pytest.MonkeyPatch) -> GaussianFlowNetwork:
    network = GaussianFlowNetwork(small_config.model, small_config.grid)
    monkeypatch.setattr(network.flow, "offsets", squared_steps)
    return network


def test_cars_follow_the_flow_straight_between_its_steps(
    accelerating: GaussianFlowNetwork, small_config: Config
) -> None:
    seconds = [0.0, 0.25, 0.5, 1.25, 3.0]
    here = car_and_road(small_config.model.channels)
    moved = list(moved_gaussians(accelerating, here, seconds, small_config))
    assert [float(it.means[0, 0]) - 1 for it in moved] == pytest.approx([0, 0.5, 1, 6.5, 36])
    for it in moved:
        assert torch.equal(it.means[1], here.means[1])
        assert torch.equal(it.means[:, 1:], here.means[:, 1:])


def test_the_flows_steps_are_as_long_as_the_configuration_says(
    accelerating: GaussianFlowNetwork, small_config: Config
) -> None:
    config = replace(small_config, temporal=TemporalConfig(frame_interval=0.35))
    here = car_and_road(config.model.channels)
    horizons = [2.1, 2.1 + 3e-7]
    check_horizons(horizons, config)
    for moved in moved_gaussians(accelerating, here, horizons, config):
        assert float(moved.means[0, 0]) == pytest.approx(37)


def test_a_scene_without_moving_gaussians_stays(
    accelerating: GaussianFlowNetwork, small_config: Config
) -> None:
    here = car_and_road(small_config.model.channels)
    still = replace(here, logits=here.logits[1].expand(2, -1))
    (moved,) = moved_gaussians(accelerating, still, [2.0], small_config)
    assert torch.equal(moved.means, here.means)


def test_voxels_of_the_car_leave_and_the_road_stays(
    accelerating: GaussianFlowNetwork, small_config: Config
) -> None:
    here = car_and_road(small_config.model.channels)
    now, later = (
        voxelize_labels(it, small_config.grid, small_config.occupancy)[0]
        for it in moved_gaussians(accelerating, here, [0.0, 1.0], small_config)
    )
    assert torch.equal(now == ROAD, later == ROAD)
    assert bool((now == ROAD).any())
    cars = [(labels == CAR).nonzero()[:, 0] for labels in (now, later)]
    assert torch.equal(cars[1], cars[0] + 5)  # 4 m of 0.8 m voxels


@pytest.mark.parametrize("which", [[0, 1], [0], [1], []])
def test_splatting_what_stays_once_changes_nothing(
    accelerating: GaussianFlowNetwork, small_config: Config, which: list[int]
) -> None:
    both = car_and_road(small_config.model.channels)
    near = replace(both, means=both.means * torch.tensor([0.1, 1, 1]))  # they share voxels
    here = Gaussians(**{name: value[which] for name, value in vars(near).items()})
    pair = [
        list(splat(accelerating, here, [0.0, 0.25, 1.0], small_config))
        for splat in (_splat_whole, _splat_still_once)
    ]
    for (wanted_labels, wanted), (labels, density) in zip(*pair, strict=True):
        assert torch.equal(labels, wanted_labels)
        torch.testing.assert_close(density, wanted)


def test_what_moves_and_what_stays_can_fill_a_voxel_together(
    accelerating: GaussianFlowNetwork, small_config: Config
) -> None:
    both = car_and_road(small_config.model.channels)
    center = torch.tensor([0.4, 0.4, 0.2]).expand(2, 3)  # of a voxel
    here = replace(both, means=center, opacities=both.opacities / 2)
    config = replace(small_config, occupancy=replace(small_config.occupancy, threshold=0.6))
    alone = [
        voxelize_labels(here.item(torch.tensor([k])), config.grid, config.occupancy)[0]
        for k in (0, 1)
    ]
    assert not any(bool((labels != FREE_ID).any()) for labels in alone)
    together, apart = _splat_still_once(accelerating, here, [0.0, 1.0], config)
    assert torch.equal(together[0], next(_splat_whole(accelerating, here, [0.0], config))[0])
    assert bool((together[0] != FREE_ID).any())
    assert not bool((apart[0] != FREE_ID).any())


def test_forecasts_are_the_flow_heads_stamped_ahead(
    predictor: OccupancyPredictor, make_frame: MakeFrame
) -> None:
    frame = make_frame(stamp=1.5)
    occupancy = predictor.predict(frame, velocity=True)
    gaussians = predictor.gaussians
    assert gaussians is not None
    now, later = predictor.forecast([0.0, 1.0])
    assert float((now.labels == occupancy.labels).double().mean()) > 0.999
    torch.testing.assert_close(now.density, occupancy.density)
    batch = Gaussians(**{name: value[None] for name, value in vars(gaussians).items()})
    offsets = predictor.network.flow(batch, torch.tensor([[2]]))[0, 0]
    assert float(offsets.abs().max()) > 0
    moved = replace(gaussians, means=gaussians.means + offsets)
    labels, density = voxelize_labels(moved, predictor.grid, predictor.config.occupancy)
    torch.testing.assert_close(later.density, density, rtol=0, atol=1e-6)
    assert float((later.labels == labels).double().mean()) > 0.999
    assert not torch.equal(later.density, now.density)
    assert [it.stamp_ns for it in (now, later)] == [1_500_000_000, 2_500_000_000]
    assert now.velocity is later.velocity is None
    assert now.grid == occupancy.grid


def test_forecasts_leave_the_stream_alone(
    predictor: OccupancyPredictor, make_frame: MakeFrame
) -> None:
    frames = [make_frame(seed=k, stamp=0.5 * k, x=k) for k in range(3)]
    wanted = [predictor.predict(frame).density for frame in frames]
    predictor.reset()
    for frame, density in zip(frames, wanted, strict=True):
        assert torch.equal(predictor.predict(frame).density, density)
        assert len(predictor.forecast((0.5, 1, 2, 3))) == 4
    assert predictor.forecast(()) == ()


def test_a_new_threshold_holds_for_forecasts(
    predictor: OccupancyPredictor, make_frame: MakeFrame
) -> None:
    predictor.predict(make_frame())
    occupancy = replace(predictor.config.occupancy, threshold=0.6)
    predictor.config = replace(predictor.config, occupancy=occupancy)
    (found,) = predictor.forecast([1.0])
    assert torch.equal(found.labels != FREE_ID, found.density >= 0.6)


def test_nothing_to_forecast_from_is_said(
    predictor: OccupancyPredictor, make_frame: MakeFrame
) -> None:
    with pytest.raises(ValueError, match="there is no frame yet to forecast from"):
        predictor.forecast([1.0])
    predictor.predict(make_frame())
    predictor.reset()
    with pytest.raises(ValueError, match="there is no frame yet to forecast from"):
        predictor.forecast([1.0])


@pytest.mark.parametrize("seconds", [3.1, -0.1, float("nan"), float("inf")])
def test_horizons_the_flow_does_not_know_are_refused(
    predictor: OccupancyPredictor, make_frame: MakeFrame, seconds: float
) -> None:
    predictor.predict(make_frame())
    with pytest.raises(ValueError, match=f"forecasts reach from 0 to 3 s ahead, got {seconds:g} s"):
        predictor.forecast([0.5, seconds])


@pytest.mark.gpu
def test_graphs_remember_and_forecast_at_12_hz_as_the_plain_way_does(make_frame: MakeFrame) -> None:
    plain, captured = (
        OccupancyPredictor.from_config(preset("tiny"), "cuda", seed=1, inference=inference)
        for inference in (InferenceConfig(), InferenceConfig(cuda_graph=True))
    )
    for number in range(9):
        frame = make_frame(seed=number, stamp=number / 12, x=0.4 * number)
        pair = [it.predict(frame).labels for it in (plain, captured)]
        assert float((pair[0] == pair[1]).double().mean()) >= 0.999
    assert plain.memory_age_s == captured.memory_age_s == pytest.approx(0.5)
    ahead = zip(plain.forecast([0.0, 0.7, 3.0]), captured.forecast([0.0, 0.7, 3.0]), strict=True)
    for wanted, found in ahead:
        assert found.labels.device.type == "cuda"
        assert float((wanted.labels == found.labels).double().mean()) >= 0.999
