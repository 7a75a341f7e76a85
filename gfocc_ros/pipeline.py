"""From camera messages to occupancy: assemble, build the newest frame, predict, hand on.

The node feeds it from its callbacks, which it never holds up; it owns the worker thread
that decodes, waits for tf and predicts. Knows messages, but no node and no topic.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from sensor_msgs.msg import CameraInfo

from gfocc_core.config import Config
from gfocc_core.frame import Frame, Occupancy
from gfocc_ros.drops import Drop, DropCounters
from gfocc_ros.frame_assembler import AssemblerSettings, FrameAssembler, ImageSet
from gfocc_ros.frame_builder import FrameBuilder, ImageMessage, Poses
from gfocc_ros.messages import nanoseconds_from_stamp
from gfocc_ros.parameters import NodeParameters
from gfocc_ros.prediction_worker import NewestWinsWorker


class Predictor(Protocol):
    """What the pipeline needs of gfocc_core.predictor.OccupancyPredictor."""

    config: Config

    def predict(self, frame: Frame) -> Occupancy: ...

    def reset(self) -> None: ...


@dataclass(frozen=True)
class _Job:
    """What the worker gets: a set and the calibrations known when it was formed."""

    image_set: ImageSet[ImageMessage]
    infos: dict[str, CameraInfo]


class OccupancyPipeline:
    """Runs from construction until `stop`.

    Args:
        parameters: validated parameters of the node.
        predictor: used by the worker thread alone.
        poses: used by the worker thread alone.
        publish: called in the worker thread with every prediction.
    """

    def __init__(
        self,
        parameters: NodeParameters,
        predictor: Predictor,
        poses: Poses,
        publish: Callable[[Occupancy], None],
    ) -> None:
        self.drops = DropCounters()
        self.density_threshold = parameters.density_threshold
        """May be changed at any time; holds from the next frame on. Negative: the checkpoint's."""
        self.frames = 0
        """Frames predicted since the start."""
        self.timings_ms: Mapping[str, float] = {}
        """Where the last frame's time went; `latency` is from the reference image's arrival to
        the end of publishing."""
        self._predictor = predictor
        self._trained_threshold = predictor.config.occupancy.threshold
        self._publish = publish
        self._assembler: FrameAssembler[ImageMessage] = FrameAssembler(
            _assembler_settings(parameters), self.drops
        )
        self._builder = FrameBuilder(parameters.cameras, parameters.min_cameras, poses, self.drops)
        self._infos: dict[str, CameraInfo] = {}
        self._epoch = 0
        self._worker: NewestWinsWorker[_Job] = NewestWinsWorker(
            self._process, self._on_failure, "prediction"
        )

    def add_info(self, camera: str, message: CameraInfo) -> None:
        """Keep a camera's latest calibration."""
        self._infos[camera] = message

    def add_image(self, camera: str, message: ImageMessage) -> bool:
        """Take in an image; returns whether time was set back, which makes old tf void."""
        stamp_ns = nanoseconds_from_stamp(message.header.stamp)
        return self._assembler.push(camera, stamp_ns, time.monotonic(), message)

    def hand_over(self) -> bool:
        """Give the sets that are ready to the worker; returns whether others still wait."""
        for image_set in self._assembler.poll(time.monotonic()):
            if self._worker.submit(_Job(image_set, dict(self._infos))):
                self.drops.count(Drop.SUPERSEDED_FRAME)
        return self._assembler.is_waiting

    def heard_cameras(self) -> set[str]:
        """Cameras that ever sent an image."""
        return self._assembler.heard_cameras()

    def stop(self, timeout_s: float) -> bool:
        """End the worker; returns whether it ended within the time."""
        self._builder.close()
        return self._worker.stop(timeout_s)

    def _process(self, job: _Job) -> None:
        if job.image_set.epoch != self._epoch:
            self._epoch = job.image_set.epoch
            self._predictor.reset()
        started = time.monotonic()
        frame = self._builder.build(job.image_set, job.infos)
        if frame is None:
            return
        built = time.monotonic()
        config = self._predictor.config
        wanted = self.density_threshold
        threshold = self._trained_threshold if wanted < 0 else wanted
        occupancy_config = replace(config.occupancy, threshold=threshold)
        self._predictor.config = replace(config, occupancy=occupancy_config)
        occupancy = self._predictor.predict(frame)
        predicted = time.monotonic()
        self._publish(occupancy)
        published = time.monotonic()
        self.timings_ms = {
            "latency": (published - job.image_set.arrival_s) * 1e3,
            "wait": (started - job.image_set.arrival_s) * 1e3,
            "build": (built - started) * 1e3,
            "predict": (predicted - built) * 1e3,
            "publish": (published - predicted) * 1e3,
        }
        self.frames += 1

    def _on_failure(self, error: Exception) -> None:
        """A frame failed in a way nobody foresaw: say so, and start anew with the next one."""
        if not self._worker.is_stopping:
            self._predictor.reset()
            self.drops.count(Drop.PREDICTION_FAILED, detail=f"{type(error).__name__}: {error}")


def _assembler_settings(parameters: NodeParameters) -> AssemblerSettings:
    return AssemblerSettings(
        cameras=parameters.cameras,
        reference_camera=parameters.reference_camera or parameters.cameras[0],
        slop_s=parameters.slop_s,
        deadline_s=parameters.deadline_s,
        min_cameras=parameters.min_cameras,
        queue_size=parameters.queue_size,
        time_jump_s=parameters.time_jump_s,
        reference_timeout_s=parameters.reference_timeout_s,
    )
