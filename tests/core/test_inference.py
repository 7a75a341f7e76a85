"""Frames from fixed buffers equal plain ones, whatever comes in, and fall back where they must."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from gfocc_core.config import Config
from gfocc_core.frame import Frame, Occupancy
from gfocc_core.inference import InferenceConfig, static_runner
from gfocc_core.inference.captured_program import FrameSteps
from gfocc_core.inference.frame_inputs import FrameInputs
from gfocc_core.inference.frame_pass import FrameResult
from gfocc_core.inference.image_feed import ImageFeed, sizes_of
from gfocc_core.inference.prepared_network import prepare_network
from gfocc_core.inference.static_runner import StaticRunner
from gfocc_core.model import GaussianFlowNetwork
from gfocc_core.predictor import OccupancyPredictor
from tests.core.conftest import MakeFrame, make_rig

EAGER = InferenceConfig()
GRAPH = InferenceConfig(cuda_graph=True)


class ReusedResults:
    """Stands for captured graphs where there is no GPU.

    Every run overwrites the last one's Gaussians, and what is recalled is so before images come.
    """

    made = 0

    def __init__(self, steps: FrameSteps, device: torch.device, shares: object = None) -> None:
        type(self).made += 1
        self._steps, self._kept = steps, steps().gaussians

    def begin(self) -> None:
        self._recalled = self._steps.recall() if self._steps.recall else None

    def finish(self) -> FrameResult:
        result = self._steps.look(self._recalled)
        for name, tensor in vars(result.gaussians).items():
            getattr(self._kept, name).copy_(tensor)
        return replace(result, gaussians=self._kept)


@pytest.fixture(autouse=True)
def _no_gpu_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(static_runner, "CapturedProgram", ReusedResults)


def predictors(
    config: Config, inference: InferenceConfig
) -> tuple[OccupancyPredictor, OccupancyPredictor]:
    """A plain one and one on fixed buffers, with the same weights, on the CPU."""
    plain = OccupancyPredictor.from_config(config, "cpu", seed=1)
    fixed = OccupancyPredictor.from_config(config, "cpu", seed=1)
    fixed._runner = StaticRunner(fixed.network, inference, fixed.device, fixed._clock)
    return plain, fixed


def exact_frame(make_frame: MakeFrame, cameras: int = 6, **changes: object) -> Frame:
    """A frame whose images have the input's size, where the CPU's resize rounds nothing."""
    generator = torch.Generator().manual_seed(int(changes.get("seed", 0)))  # type: ignore[call-overload]
    images = tuple(
        torch.randint(0, 256, (64, 96, 3), generator=generator, dtype=torch.uint8)
        for _ in range(cameras)
    )
    return make_frame(cameras, rig=make_rig(cameras, (64, 96)), images=images, **changes)


def assert_same(found: Occupancy, wanted: Occupancy) -> None:
    torch.testing.assert_close(found.density, wanted.density, rtol=0, atol=1e-5)
    assert float((found.labels == wanted.labels).double().mean()) > 0.999
    assert (found.velocity is None) == (wanted.velocity is None)
    if found.velocity is not None:
        torch.testing.assert_close(found.velocity, wanted.velocity, rtol=1e-3, atol=1e-3)


def compare(
    pair: Sequence[OccupancyPredictor], frames: Sequence[Frame], velocity: bool = False
) -> None:
    for frame in frames:
        wanted, found = (it.predict(frame, velocity=velocity) for it in pair)
        assert_same(found, wanted)


@pytest.mark.parametrize("inference", [EAGER, GRAPH], ids=["eager", "graph"])
def test_a_stream_equals_the_plain_one(
    small_config: Config, make_frame: MakeFrame, inference: InferenceConfig
) -> None:
    pair = predictors(small_config, inference)
    frames = [exact_frame(make_frame, seed=k, stamp=k * 0.5, x=k * 1.5) for k in range(4)]
    compare(pair, frames)
    fresh = OccupancyPredictor.from_config(small_config, "cpu", seed=1).predict(frames[-1])
    assert not torch.equal(pair[1].predict(frames[-1]).density, fresh.density)


def test_breaks_and_resets_start_anew(small_config: Config, make_frame: MakeFrame) -> None:
    pair = predictors(small_config, GRAPH)
    compare(pair, [exact_frame(make_frame, seed=1), exact_frame(make_frame, seed=2, stamp=9.0)])
    compare(pair, [exact_frame(make_frame, seed=3, stamp=9.5, scene="another")])
    for predictor in pair:
        predictor.reset()
    compare(pair, [exact_frame(make_frame, seed=4, stamp=10.0, scene="another")])


def test_missing_cameras_need_no_new_buffers(small_config: Config, make_frame: MakeFrame) -> None:
    pair = predictors(small_config, GRAPH)
    whole = exact_frame(make_frame)
    valid = (True, False, True, True, False, True)
    images = tuple(
        image if ok else torch.zeros(1, 1, 3).byte()
        for image, ok in zip(whole.images, valid, strict=True)
    )
    sizes = tuple(tuple(image.shape[:2]) for image in images)
    rig = replace(whole.rig, image_sizes=sizes, intrinsics=whole.rig.intrinsics.clone())
    rig.intrinsics[1] = float("nan")
    partial = replace(whole, images=images, valid=valid, rig=rig)
    compare(pair, [whole, partial, replace(whole, stamp_ns=7), replace(partial, stamp_ns=8)])
    made = ReusedResults.made
    compare(pair, [replace(whole, stamp_ns=9)])
    assert ReusedResults.made == made


def test_images_of_another_size_need_no_new_program(
    small_config: Config, make_frame: MakeFrame
) -> None:
    fixed = predictors(small_config, GRAPH)[1]
    fixed.warm_up()
    made = ReusedResults.made
    found = [fixed.predict(exact_frame(make_frame)), fixed.predict(make_frame(stamp=0.5))]
    assert ReusedResults.made == made
    eager = predictors(small_config, EAGER)[1]
    wanted = [eager.predict(exact_frame(make_frame)), eager.predict(make_frame(stamp=0.5))]
    for one, other in zip(found, wanted, strict=True):
        assert_same(one, other)


def test_memory_outlives_a_change_of_rig(small_config: Config, make_frame: MakeFrame) -> None:
    pair = predictors(small_config, GRAPH)
    compare(pair, [exact_frame(make_frame), exact_frame(make_frame, 3, seed=1, stamp=0.5, x=1.0)])


def test_velocities_come_from_the_same_frame(small_config: Config, make_frame: MakeFrame) -> None:
    pair = predictors(small_config, GRAPH)
    frames = [exact_frame(make_frame, seed=k, stamp=k * 0.5) for k in range(3)]
    compare(pair, frames[:2], velocity=True)
    compare(pair, frames[2:])


def test_a_new_threshold_holds_at_once(small_config: Config, make_frame: MakeFrame) -> None:
    pair = predictors(small_config, GRAPH)
    compare(pair, [exact_frame(make_frame)])
    occupancy = replace(small_config.occupancy, threshold=0.6)
    for predictor in pair:
        predictor.config = replace(predictor.config, occupancy=occupancy)
    later = exact_frame(make_frame, seed=1, stamp=0.5)
    compare(pair, [later])
    found = pair[1].predict(later)
    assert torch.equal(found.labels != 17, found.density >= 0.6)


def test_images_of_another_size_differ_by_the_plain_ways_rounding_only(
    small_config: Config, make_frame: MakeFrame
) -> None:
    wanted, found = (it.predict(make_frame()) for it in predictors(small_config, EAGER))
    assert float((found.density - wanted.density).abs().max()) < 0.02
    assert float((found.labels == wanted.labels).double().mean()) > 0.99


def test_bfloat16_decides_alike_and_remembers_in_float32(
    small_config: Config, make_frame: MakeFrame
) -> None:
    pair = predictors(small_config, InferenceConfig("bfloat16", cuda_graph=True))
    for number in range(3):
        frame = exact_frame(make_frame, seed=number, stamp=0.5 * number, x=number)
        wanted, found = (it.predict(frame) for it in pair)
        assert float(((found.labels == 17) == (wanted.labels == 17)).double().mean()) >= 0.99
    state = pair[1].state
    assert state is not None
    assert state.means.dtype == state.features.dtype == torch.float32
    inputs = FrameInputs(6, small_config, torch.device("cpu"), torch.float32)
    later = exact_frame(make_frame, stamp=2.0, x=9.0)
    inputs.load_past(later, state)
    torch.testing.assert_close(inputs.memory().means[0], state.means_in(later.global_from_ego))


def test_results_that_a_graph_overwrites_are_remembered_and_forecast_as_plain_ones(
    small_config: Config, make_frame: MakeFrame
) -> None:
    pair = predictors(small_config, GRAPH)
    for number in range(9):
        compare(pair, [exact_frame(make_frame, seed=number, stamp=number / 10, x=0.3 * number)])
    assert [it.memory_age_s for it in pair] == pytest.approx([0.5, 0.5])
    for wanted, found in zip(*(it.forecast([0.0, 0.7, 3.0]) for it in pair), strict=True):
        assert_same(found, wanted)


@pytest.mark.parametrize("velocity", [False, True])
def test_warming_up_prepares_every_kind_of_frame(
    small_config: Config, make_frame: MakeFrame, velocity: bool
) -> None:
    fixed = predictors(small_config, GRAPH)[1]
    fixed.warm_up(velocity=velocity)
    before = ReusedResults.made
    for number in range(2):
        fixed.predict(exact_frame(make_frame, stamp=0.5 * number), velocity=velocity)
    assert ReusedResults.made == before
    assert fixed.memory_age_s == 0.5


def test_preparing_leaves_the_network_alone_and_positions_fine(small_config: Config) -> None:
    network = OccupancyPredictor.from_config(small_config, "cpu").network
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    prepared = prepare_network(network, InferenceConfig("bfloat16"))
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    means = torch.rand(50, 3) * 8
    with torch.autocast("cpu", torch.bfloat16):
        found = prepared.decoder.position(means)
        shifted = prepared.decoder.position(means + 0.1)
    assert found.dtype == torch.float32
    assert bool((found != shifted).any(-1).all())
    assert float((found - network.decoder.position(means)).abs().mean()) < 0.02
    assert prepared.decoder.blocks[0].self_attention.gather.in_proj_weight.dtype == torch.bfloat16


def test_what_cannot_be_compiled_runs_uncompiled(
    small_config: Config,
    make_frame: MakeFrame,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(network: GaussianFlowNetwork, inference: InferenceConfig) -> GaussianFlowNetwork:
        prepared = prepare_network(network, replace(inference, compile="off"))
        if inference.compile != "off":
            prepared.encoder.forward = None  # type: ignore[assignment, method-assign]
        return prepared

    monkeypatch.setattr(static_runner, "prepare_network", broken)
    pair = predictors(small_config, InferenceConfig(compile="default"))
    with caplog.at_level(logging.WARNING):
        compare(pair, [exact_frame(make_frame), exact_frame(make_frame, seed=1, stamp=0.5)])
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 1
    assert lines[0].startswith("the network runs without torch.compile: TypeError")


def test_what_cannot_be_captured_runs_without_a_graph(
    small_config: Config,
    make_frame: MakeFrame,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Refusing:
        def __init__(self, *_: object) -> None:
            raise RuntimeError("operation not permitted\nwhen stream is capturing")

    monkeypatch.setattr(static_runner, "CapturedProgram", Refusing)
    pair = predictors(small_config, GRAPH)
    with caplog.at_level(logging.WARNING):
        compare(pair, [exact_frame(make_frame), exact_frame(make_frame, seed=1, stamp=0.5)])
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ["frames run without a CUDA graph: RuntimeError: operation not permitted"]


def test_without_a_gpu_the_plain_way_is_taken_and_said_once(
    small_config: Config, make_frame: MakeFrame, caplog: pytest.LogCaptureFixture
) -> None:
    plain, _ = predictors(small_config, EAGER)
    fast = InferenceConfig.fastest(torch.device("cuda"))
    with caplog.at_level(logging.WARNING):
        asked = OccupancyPredictor.from_config(small_config, "cpu", seed=1, inference=fast)
        assert torch.equal(asked.predict(make_frame()).density, plain.predict(make_frame()).density)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ["frames run in plain float32 on 'cpu': it is no CUDA device"]
    assert InferenceConfig.fastest(torch.device("cpu")) == InferenceConfig()


def test_unknown_choices_are_named() -> None:
    with pytest.raises(ValueError, match=r"inference\.precision must be one of .*got 'float16'"):
        InferenceConfig(precision="float16")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"inference\.compile must be one of off, .*got True"):
        InferenceConfig(compile=True)  # type: ignore[arg-type]


def test_sizes_of_missing_cameras(small_config: Config, make_frame: MakeFrame) -> None:
    frame = make_frame(3, valid=(False, True, False))
    assert sizes_of(frame) == ((90, 160),) * 3
    known = ((10, 20), (30, 40), (50, 60))
    assert sizes_of(frame, known) == ((10, 20), (90, 160), (50, 60))
    image, valid = small_config.image, torch.ones(3)
    out = torch.zeros(3, image.height, image.width, 3)
    assert not ImageFeed(known, image, valid, out).fits(frame)
    assert ImageFeed(((1, 1), (90, 160), (2, 2)), image, valid, out).fits(frame)


@pytest.mark.slow
def test_compiled_equals_plain(small_config: Config, make_frame: MakeFrame) -> None:
    pair = predictors(small_config, InferenceConfig(compile="default"))
    frames = [exact_frame(make_frame, seed=k, stamp=k * 0.5, x=k * 1.5) for k in range(3)]
    compare(pair, frames)
    compare(pair, frames[-1:], velocity=True)
