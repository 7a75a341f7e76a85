"""From messages to predictions: newest wins, a jump of time resets, nothing stops the worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from gfocc_core.config import Config, preset
from gfocc_core.frame import Frame, Occupancy
from gfocc_core.grid import VoxelGrid
from gfocc_core.jpeg_on_device import decode_jpegs
from gfocc_ros.frames import image_decoders
from gfocc_ros.frames.drops import Drop
from gfocc_ros.parameters.parameters import NodeParameters
from gfocc_ros.pipeline import OccupancyPipeline
from gfocc_ros.publishing.prediction import Prediction, Wanted
from tests.ros.camera_messages import camera_info, compressed_image, jpeg
from tests.ros.known_poses import KnownPoses

CAMERAS = ("left", "front")
GRID = VoxelGrid(shape=(2, 2, 2))
START_NS = 1_532_402_927_000_000_000
MS = 1_000_000


class SlowPredictor:
    """Records what it is asked; holds up each prediction until it is let go."""

    def __init__(self) -> None:
        self.config: Config = preset("tiny")
        self.device = torch.device("cpu")
        self.calls: list[str | int] = []
        self.configs: list[Config] = []
        self.velocities: list[bool] = []
        self.cameras: list[tuple[bool, ...]] = []
        self.let_go = threading.Semaphore(0)
        self.failing = False
        self.horizon_s = 3.0
        self.gaussians: Any = "gaussians of the last frame"
        self.memory_age_s: float | None = 0.5
        self._stamp_ns = 0

    def predict(self, frame: Frame, *, velocity: bool = False) -> Occupancy:
        self.calls.append(frame.stamp_ns)
        self.configs.append(self.config)
        self.velocities.append(velocity)
        self.cameras.append(frame.valid)
        assert self.let_go.acquire(timeout=5)
        if self.failing:
            raise RuntimeError("out of memory")
        self._stamp_ns = frame.stamp_ns
        return occupancy_at(frame.stamp_ns, {"total": 7.0})

    def take_back(self) -> None:
        self.calls.append("take back")

    def forecast(self, seconds: Sequence[float]) -> tuple[Occupancy, ...]:
        if max(seconds) > self.horizon_s:
            raise ValueError(f"forecasts reach to {self.horizon_s} s")
        return tuple(occupancy_at(self._stamp_ns + round(ahead * 1e9)) for ahead in seconds)

    def reset(self) -> None:
        self.calls.append("reset")


def occupancy_at(stamp_ns: int, timings_ms: dict[str, float] | None = None) -> Occupancy:
    labels = torch.zeros(GRID.shape, dtype=torch.uint8)
    return Occupancy(labels, torch.ones(GRID.shape), None, GRID, stamp_ns, timings_ms or {})


class Listener:
    """Stands for the outputs: wants what it is told to, keeps what it is given."""

    def __init__(self) -> None:
        self.wish = Wanted(velocity=False, gaussians=False, forecast=False)
        self.predictions: list[Prediction] = []
        self.forecasts: list[tuple[Occupancy, ...]] = []

    def wanted(self, now_s: float) -> Wanted:
        return self.wish

    def publish(self, prediction: Prediction, now_s: float) -> None:
        self.predictions.append(prediction)

    def publish_forecast(self, forecasts: Sequence[Occupancy], stamp_ns: int, now_s: float) -> None:
        assert stamp_ns == self.predictions[-1].occupancy.stamp_ns
        self.forecasts.append(tuple(forecasts))


class Bench:
    def __init__(self, **parameters: Any) -> None:
        self.predictor = SlowPredictor()
        self.listener = Listener()
        self.now_ns = START_NS + 60_000 * MS
        self.pipeline = OccupancyPipeline(
            NodeParameters(
                cameras=CAMERAS,
                reference_camera="",
                deadline_s=0.05,
                time_jump_s=0.2,
                **parameters,
            ),
            self.predictor,
            KnownPoses(),
            self.listener,
            clock_ns=lambda: self.now_ns,
        )
        for camera in CAMERAS:
            self.pipeline.add_info(camera, camera_info(camera, START_NS))

    @property
    def published(self) -> list[int]:
        return [prediction.occupancy.stamp_ns for prediction in self.listener.predictions]

    def send(self, *stamps_ns: int) -> bool:
        jumped = False
        for stamp_ns in stamps_ns:
            for camera in CAMERAS:
                jumped |= self.pipeline.add_image(camera, compressed_image(camera, stamp_ns))
            self.pipeline.hand_over()
        return jumped

    def answer(self, stamp_ns: int) -> Prediction:
        """Send a frame and wait for what is published."""
        frames = self.pipeline.statistics.total
        self.predictor.let_go.release()
        self.send(stamp_ns)
        wait_for(lambda: self.pipeline.statistics.total == frames + 1)
        return self.listener.predictions[-1]

    def forecast(self) -> tuple[Occupancy, ...]:
        """What was foreseen from the last frame."""
        return self.listener.forecasts[-1]


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.predictor.let_go.release(100)
    assert made.pipeline.stop(5)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.005)


def test_prediction_is_published_with_the_stamp_of_the_first_camera_as_reference(
    bench: Bench,
) -> None:
    bench.predictor.let_go.release()
    bench.pipeline.add_image("left", compressed_image("left", START_NS))
    bench.pipeline.add_image("front", compressed_image("front", START_NS + 10 * MS))
    assert not bench.pipeline.hand_over()
    wait_for(lambda: bench.pipeline.statistics.total == 1)
    assert bench.published == [START_NS]


def test_record_of_a_frame_tells_where_its_time_went(bench: Bench) -> None:
    bench.now_ns = START_NS + 250 * MS
    bench.answer(START_NS)
    record = bench.pipeline.statistics.last
    assert record is not None
    assert list(record.stages_ms) == ["wait", "build", "predict", "publish"]
    assert min(record.stages_ms.values()) >= 0
    assert {"decode", "tf wait", "camera spread", "forecast"} <= record.details_ms.keys()
    assert record.details_ms["network total"] == 7.0
    assert record.stamp_latency_ms == 250
    assert (record.cameras, record.memory_age_s) == (2, 0.5)


def test_frames_that_come_while_one_is_predicted_are_replaced_by_the_newest(bench: Bench) -> None:
    stamps = [START_NS + 100 * MS * k for k in range(4)]
    bench.send(stamps[0])
    wait_for(lambda: len(bench.predictor.calls) == 1)
    bench.send(*stamps[1:])
    bench.predictor.let_go.release(2)
    wait_for(lambda: bench.pipeline.statistics.total == 2)
    assert bench.published == [stamps[0], stamps[3]]
    assert bench.pipeline.drops.totals() == {Drop.SUPERSEDED_FRAME: 2}


def test_memory_is_reset_before_the_first_frame_after_a_jump_back(bench: Bench) -> None:
    bench.predictor.let_go.release(2)
    assert not bench.send(START_NS + 10_000 * MS)
    wait_for(lambda: bench.pipeline.statistics.total == 1)
    assert bench.send(START_NS)
    wait_for(lambda: bench.pipeline.statistics.total == 2)
    assert bench.predictor.calls == [START_NS + 10_000 * MS, "reset", START_NS]


def test_failed_prediction_is_counted_and_the_next_frame_starts_anew(bench: Bench) -> None:
    bench.predictor.failing = True
    bench.predictor.let_go.release(2)
    bench.send(START_NS)
    wait_for(lambda: Drop.PREDICTION_FAILED in bench.pipeline.drops.totals())
    told = bench.pipeline.drops.take_news()[Drop.PREDICTION_FAILED]
    assert "RuntimeError: out of memory" in told
    bench.predictor.failing = False
    bench.send(START_NS + 100 * MS)
    wait_for(lambda: bench.pipeline.statistics.total == 1)
    assert bench.predictor.calls == [START_NS, "reset", START_NS + 100 * MS]


@pytest.mark.parametrize(("min_cameras", "answered"), [(1, True), (2, False)])
def test_frame_is_taken_back_when_an_image_turns_out_damaged(
    monkeypatch: pytest.MonkeyPatch, min_cameras: int, answered: bool
) -> None:
    known = threading.Event()

    def check(data: memoryview) -> None:
        assert known.wait(5)
        if len(data) == len(damaged.data):
            raise ValueError("a hole")

    decode_jpegs([jpeg()], torch.device("cpu"))  # imports torchvision, which takes seconds
    monkeypatch.setattr(image_decoders, "decodes_jpegs", lambda device, count: True)
    monkeypatch.setattr(image_decoders, "check_jpeg", check)
    damaged = compressed_image("front", START_NS, jpeg() + b"more")
    bench = Bench(min_cameras=min_cameras)
    bench.pipeline.add_image("left", compressed_image("left", START_NS))
    bench.pipeline.add_image("front", damaged)
    bench.pipeline.hand_over()
    wait_for(lambda: len(bench.predictor.calls) == 1)
    bench.predictor.let_go.release(2)
    known.set()
    wait_for(lambda: "take back" in bench.predictor.calls)
    assert bench.pipeline.stop(5)
    drops = {Drop.UNDECODABLE_IMAGE: 1}
    if answered:
        assert bench.predictor.calls == [START_NS, "take back", START_NS, "reset"]
        assert bench.predictor.cameras == [(True, True), (True, False)]
    else:
        assert bench.predictor.calls == [START_NS, "take back", "reset"]
        drops[Drop.TOO_FEW_CAMERAS] = 1
    assert bench.pipeline.drops.totals() == drops


def test_changes_hold_from_the_next_frame_on_and_negative_ones_give_back_what_was_trained(
    bench: Bench,
) -> None:
    trained = bench.predictor.config
    changed: dict[str, Any] = {
        "density_threshold": 0.4,
        "neighborhood": 2,
        "memory_interval_s": 0.25,
    }
    bench.answer(START_NS)
    bench.pipeline.parameters = replace(bench.pipeline.parameters, **changed)
    bench.answer(START_NS + 100 * MS)
    bench.pipeline.parameters = NodeParameters(cameras=CAMERAS, reference_camera="")
    bench.answer(START_NS + 200 * MS)
    first, second, third = bench.predictor.configs
    assert first == third == trained
    assert (second.occupancy.threshold, second.occupancy.neighborhood) == (0.4, 2)
    assert second.temporal.memory_interval == 0.25
    assert trained.occupancy.threshold != 0.4


def test_stopped_pipeline_gives_the_predictor_back_as_it_was() -> None:
    bench = Bench(density_threshold=0.4)
    trained = bench.predictor.config
    bench.answer(START_NS)
    assert bench.predictor.config != trained
    assert bench.pipeline.stop(5)
    assert bench.predictor.config == trained
    assert bench.predictor.calls == [START_NS, "reset"]


def test_image_from_the_future_is_dropped_by_the_clock_of_the_stamps(bench: Bench) -> None:
    bench.now_ns = START_NS
    bench.send(START_NS + 2000 * MS)
    assert bench.pipeline.drops.totals() == {Drop.FUTURE_IMAGE: 2}


def test_only_what_is_wanted_is_computed(bench: Bench) -> None:
    plain = bench.answer(START_NS)
    assert (plain.gaussians, bench.forecast()) == (None, ())
    bench.listener.wish = Wanted(velocity=True, gaussians=True, forecast=True)
    full = bench.answer(START_NS + 100 * MS)
    assert bench.predictor.velocities == [False, True]
    assert full.gaussians is bench.predictor.gaussians
    ahead = [forecast.stamp_ns - full.occupancy.stamp_ns for forecast in bench.forecast()]
    assert ahead == [500 * MS, 1000 * MS, 2000 * MS, 3000 * MS]


def test_forecast_beyond_the_flow_is_told_and_costs_nothing_else(bench: Bench) -> None:
    bench.listener.wish = Wanted(velocity=False, gaussians=False, forecast=True)
    bench.predictor.horizon_s = 2.0
    bench.answer(START_NS)
    assert bench.forecast() == ()
    assert "reach to 2.0 s" in bench.pipeline.forecast_error
    bench.pipeline.parameters = replace(bench.pipeline.parameters, forecast_horizons_s=(1.5,))
    bench.answer(START_NS + 100 * MS)
    assert len(bench.forecast()) == 1
    assert bench.pipeline.forecast_error == ""
    assert not bench.pipeline.drops.totals()


def test_memory_is_forgotten_on_demand_before_the_next_frame_only(bench: Bench) -> None:
    stamps = [START_NS + 100 * MS * k for k in range(3)]
    bench.answer(stamps[0])
    bench.pipeline.forget()
    for stamp_ns in stamps[1:]:
        bench.answer(stamp_ns)
    assert bench.predictor.calls == [stamps[0], "reset", *stamps[1:]]


def test_silent_cameras_are_those_without_an_image_in_the_last_seconds(bench: Bench) -> None:
    assert bench.pipeline.silent_cameras() == CAMERAS
    bench.pipeline.add_image("front", compressed_image("front", START_NS))
    assert bench.pipeline.silent_cameras() == ("left",)
    assert bench.pipeline.silent_cameras(60.0) == ("left",)
    time.sleep(0.02)
    assert bench.pipeline.silent_cameras(0.01) == CAMERAS
    assert bench.pipeline.images == 1


def test_stop_gives_up_on_a_prediction_that_hangs() -> None:
    bench = Bench()
    bench.send(START_NS)
    wait_for(lambda: len(bench.predictor.calls) == 1)
    assert not bench.pipeline.stop(0.05)
    bench.predictor.let_go.release()
    assert bench.pipeline.stop(5)
    assert not bench.pipeline.drops.totals()
    assert not bench.published
