"""From messages to predictions: newest wins, a jump of time resets, nothing stops the worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
import torch

from gfocc_core.config import Config, preset
from gfocc_core.frame import Frame, Occupancy
from gfocc_core.grid import VoxelGrid
from gfocc_ros.drops import Drop
from gfocc_ros.parameters import NodeParameters
from gfocc_ros.pipeline import OccupancyPipeline
from tests.ros.camera_messages import camera_info, compressed_image
from tests.ros.known_poses import KnownPoses

CAMERAS = ("left", "front")
GRID = VoxelGrid(shape=(2, 2, 2))
START_NS = 1_532_402_927_000_000_000
MS = 1_000_000


class SlowPredictor:
    """Records what it is asked; holds up each prediction until it is let go."""

    def __init__(self) -> None:
        self.config: Config = preset("tiny")
        self.calls: list[str | int] = []
        self.thresholds: list[float] = []
        self.let_go = threading.Semaphore(0)
        self.failing = False

    def predict(self, frame: Frame) -> Occupancy:
        self.calls.append(frame.stamp_ns)
        self.thresholds.append(self.config.occupancy.threshold)
        assert self.let_go.acquire(timeout=5)
        if self.failing:
            raise RuntimeError("out of memory")
        labels = torch.zeros(GRID.shape, dtype=torch.uint8)
        return Occupancy(labels, torch.ones(GRID.shape), None, GRID, frame.stamp_ns)

    def reset(self) -> None:
        self.calls.append("reset")


class Bench:
    def __init__(self) -> None:
        self.predictor = SlowPredictor()
        self.published: list[int] = []
        self.pipeline = OccupancyPipeline(
            NodeParameters(cameras=CAMERAS, reference_camera="", deadline_s=0.05, time_jump_s=0.2),
            self.predictor,
            KnownPoses(),
            lambda occupancy: self.published.append(occupancy.stamp_ns),
        )
        for camera in CAMERAS:
            self.pipeline.add_info(camera, camera_info(camera, START_NS))

    def send(self, *stamps_ns: int) -> bool:
        jumped = False
        for stamp_ns in stamps_ns:
            for camera in CAMERAS:
                jumped |= self.pipeline.add_image(camera, compressed_image(camera, stamp_ns))
            self.pipeline.hand_over()
        return jumped


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
    wait_for(lambda: bench.pipeline.frames == 1)
    assert bench.published == [START_NS]
    timings = dict(bench.pipeline.timings_ms)
    assert timings.pop("latency") == pytest.approx(sum(timings.values()))


def test_frames_that_come_while_one_is_predicted_are_replaced_by_the_newest(bench: Bench) -> None:
    stamps = [START_NS + 100 * MS * k for k in range(4)]
    bench.send(stamps[0])
    wait_for(lambda: len(bench.predictor.calls) == 1)
    bench.send(*stamps[1:])
    bench.predictor.let_go.release(2)
    wait_for(lambda: bench.pipeline.frames == 2)
    assert bench.published == [stamps[0], stamps[3]]
    assert bench.pipeline.drops.totals() == {Drop.SUPERSEDED_FRAME: 2}


def test_memory_is_reset_before_the_first_frame_after_a_jump_back(bench: Bench) -> None:
    bench.predictor.let_go.release(2)
    assert not bench.send(START_NS + 10_000 * MS)
    wait_for(lambda: bench.pipeline.frames == 1)
    assert bench.send(START_NS)
    wait_for(lambda: bench.pipeline.frames == 2)
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
    wait_for(lambda: bench.pipeline.frames == 1)
    assert bench.predictor.calls == [START_NS, "reset", START_NS + 100 * MS]


def test_changed_threshold_holds_from_the_next_frame_on(bench: Bench) -> None:
    bench.predictor.let_go.release(3)
    bench.send(START_NS)
    wait_for(lambda: bench.pipeline.frames == 1)
    trained = bench.predictor.thresholds[0]
    for number, threshold in enumerate((0.4, -1.0), start=1):
        bench.pipeline.density_threshold = threshold
        bench.send(START_NS + 100 * MS * number)
        wait_for(lambda count=number: bench.pipeline.frames == count + 1)
    assert bench.predictor.thresholds == [trained, 0.4, trained]
    assert trained != 0.4


def test_stop_gives_up_on_a_prediction_that_hangs() -> None:
    bench = Bench()
    bench.send(START_NS)
    wait_for(lambda: len(bench.predictor.calls) == 1)
    assert not bench.pipeline.stop(0.05)
    bench.predictor.let_go.release()
    assert bench.pipeline.stop(5)
    assert not bench.pipeline.drops.totals()
