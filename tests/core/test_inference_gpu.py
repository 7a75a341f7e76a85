"""The fast way to run frames on a GPU: graphs replay what they captured, decisions stay."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gfocc_core.config import preset
from gfocc_core.frame import Frame, Occupancy
from gfocc_core.inference import InferenceConfig
from gfocc_core.inference.captured_program import CapturedProgram
from gfocc_core.inference.config import Precision
from gfocc_core.inference.static_runner import StaticRunner
from gfocc_core.predictor import OccupancyPredictor
from tests.core.conftest import MakeFrame

pytestmark = pytest.mark.gpu
FASTEST = InferenceConfig("bfloat16", "default", cuda_graph=True)


def predictor(inference: InferenceConfig) -> OccupancyPredictor:
    return OccupancyPredictor.from_config(preset("tiny"), "cuda", seed=1, inference=inference)


def drive(make_frame: MakeFrame) -> list[Frame]:
    """Four frames with memory, one camera missing in the third, then another rig."""
    frames = [make_frame(seed=k, stamp=k * 0.5, x=k * 1.5) for k in range(4)]
    frames[2] = replace(frames[2], valid=(True, True, False, True, True, True))
    return [*frames, make_frame(4, seed=9, stamp=2.0, x=6.0)]


def alike(found: Occupancy, wanted: Occupancy) -> float:
    """Share of equal occupied-or-free decisions."""
    return float(((found.labels == 17) == (wanted.labels == 17)).double().mean())


@pytest.mark.parametrize(("precision", "least"), [("float32", 0.999), ("bfloat16", 0.99)])
def test_graphs_follow_a_drive(make_frame: MakeFrame, precision: Precision, least: float) -> None:
    plain, captured = (
        predictor(InferenceConfig()),
        predictor(InferenceConfig(precision, cuda_graph=True)),
    )
    for number, frame in enumerate(drive(make_frame)):
        wanted, found = (
            it.predict(frame, velocity=number == 3, to_host=True) for it in (plain, captured)
        )
        assert alike(found, wanted) >= least
        assert (found.velocity is None) == (number != 3)
    assert isinstance(captured._runner, StaticRunner)
    assert len(captured._runner._programs) == 1  # the last rig's, with memory
    assert all(isinstance(it, CapturedProgram) for it in captured._runner._programs.values())


def test_replays_are_the_same_bit_for_bit_and_results_are_the_callers(
    make_frame: MakeFrame,
) -> None:
    captured = predictor(InferenceConfig("bfloat16", cuda_graph=True))
    first_drive = [captured.predict(frame) for frame in drive(make_frame)[:4]]
    for _ in range(10):
        captured.reset()
        for frame, wanted in zip(drive(make_frame)[:4], first_drive, strict=True):
            found = captured.predict(frame)
            assert torch.equal(found.labels, wanted.labels)
            assert torch.equal(found.density, wanted.density)


def test_the_fastest_way_decides_as_the_plain_one_and_times_its_stages(
    make_frame: MakeFrame,
) -> None:
    plain, fast = predictor(InferenceConfig()), predictor(replace(FASTEST, stage_timings=True))
    assert fast.warm_up(((90, 160),) * 6) > 0
    for frame in drive(make_frame)[:4]:
        wanted, found = plain.predict(frame, to_host=True), fast.predict(frame, to_host=True)
        assert found.labels.is_pinned()
        assert alike(found, wanted) >= 0.99
        timings = dict(found.timings_ms)
        total = timings.pop("total")
        stages = ["upload", "preprocess", "encode", "decode", "voxelize", "download"]
        assert list(timings) == stages
        assert 0 < sum(timings.values()) < 1.05 * total
    assert isinstance(fast._runner, StaticRunner)
    assert fast._runner._inference.compile == "default", "compiling failed; the log says why"


@pytest.mark.parametrize(
    "inference", [InferenceConfig(), InferenceConfig("bfloat16", cuda_graph=True)]
)
def test_images_may_lie_on_the_gpu_as_its_jpeg_decoder_leaves_them(
    make_frame: MakeFrame, inference: InferenceConfig
) -> None:
    on_host, on_device = predictor(inference), predictor(inference)
    for frame in drive(make_frame):
        planes = [image.permute(2, 0, 1).contiguous().cuda() for image in frame.images]
        there = replace(frame, images=tuple(plane.permute(1, 2, 0) for plane in planes))
        assert torch.equal(on_device.predict(there).labels, on_host.predict(frame).labels)
