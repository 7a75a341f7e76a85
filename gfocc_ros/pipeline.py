"""From camera messages to predictions: assemble, build the newest frame, predict, hand on.

The node feeds it from its callbacks, which it never holds up; it owns the worker thread
that decodes, waits for tf, predicts and publishes. Knows messages, but no node and no topic.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from sensor_msgs.msg import CameraInfo

from gfocc_core.frame import Frame, Occupancy
from gfocc_ros.diagnostics.frame_statistics import FrameRecord, FrameStatistics
from gfocc_ros.frames.drops import Drop, DropCounters
from gfocc_ros.frames.frame_assembler import AssemblerSettings, FrameAssembler, ImageSet
from gfocc_ros.frames.frame_builder import FrameBuilder, ImageMessage, Poses
from gfocc_ros.messages import nanoseconds_from_stamp
from gfocc_ros.parameters.parameters import NodeParameters
from gfocc_ros.parameters.tuning import Tuning
from gfocc_ros.pipeline_ports import Predictor, Publishing
from gfocc_ros.prediction_worker import NewestWinsWorker
from gfocc_ros.publishing.prediction import Prediction


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
        outputs: used by the worker thread alone.
        clock_ns: the clock of the images' stamps in ns, 0 while it is not known; asked from the
            worker thread too.
    """

    def __init__(
        self,
        parameters: NodeParameters,
        predictor: Predictor,
        poses: Poses,
        outputs: Publishing,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.parameters = parameters
        """May be replaced at any time; what can change at run time holds from the next frame on."""
        self.drops = DropCounters()
        self.statistics = FrameStatistics()
        self.images = 0
        """Images that came since the start."""
        self.forecast_error = ""
        """Why the last frame's forecast could not be made; empty: it could, or nobody wanted it."""
        self._predictor = predictor
        self._tuning = Tuning(predictor.config)
        self._outputs = outputs
        self._clock_ns = clock_ns
        self._assembler: FrameAssembler[ImageMessage] = FrameAssembler(
            _assembler_settings(parameters), self.drops
        )
        self._builder = FrameBuilder(
            parameters.cameras,
            parameters.min_cameras,
            poses,
            self.drops,
            max_odometry_jump_m=parameters.max_odometry_jump_m,
            input_size=(predictor.config.image.height, predictor.config.image.width),
            device=predictor.device,
        )
        self._infos: dict[str, CameraInfo] = {}
        self._last_image_s: dict[str, float] = {}
        self._reset_asked = threading.Event()
        self._epoch = 0
        self._worker: NewestWinsWorker[_Job] = NewestWinsWorker(
            self._process, self._on_failure, "prediction"
        )

    def add_info(self, camera: str, message: CameraInfo) -> None:
        """Keep a camera's latest calibration."""
        self._infos[camera] = message

    def add_image(self, camera: str, message: ImageMessage) -> bool:
        """Take in an image; returns whether time was set back, which makes old tf void."""
        now_s = time.monotonic()
        self.images += 1
        self._last_image_s[camera] = now_s
        if self._worker.is_idle:  # else a newer image may take this one's place
            self._builder.expect(camera, message)
        stamp_ns = nanoseconds_from_stamp(message.header.stamp)
        was_set_back = self._assembler.push(camera, stamp_ns, now_s, message, self._clock_ns())
        if was_set_back:
            self.drops.count(Drop.TIME_SET_BACK)
        return was_set_back

    def hand_over(self) -> bool:
        """Give the sets that are ready to the worker; returns whether others still wait."""
        for image_set in self._assembler.poll(time.monotonic()):
            if self._worker.submit(_Job(image_set, dict(self._infos))):
                self.drops.count(Drop.SUPERSEDED_FRAME)
        return self._assembler.is_waiting

    def silent_cameras(self, seconds: float | None = None) -> tuple[str, ...]:
        """Cameras without an image in the last seconds; by default, without any ever."""
        now_s = time.monotonic()
        oldest_s = now_s - seconds if seconds is not None else float("-inf")
        heard = {camera for camera, at in self._last_image_s.items() if at >= oldest_s}
        return tuple(camera for camera in self.parameters.cameras if camera not in heard)

    def forget(self) -> None:
        """The next frame starts a new memory."""
        self._reset_asked.set()

    def stop(self, timeout_s: float) -> bool:
        """End the worker, publish no more; returns whether it ended within the time.

        Where it did, the predictor has its own configuration again and no memory.
        """
        self._builder.close()
        if not self._worker.stop(timeout_s):
            return False
        self._predictor.config = self._tuning.trained
        self._predictor.reset()
        return True

    def _process(self, job: _Job) -> None:
        arrival_s, started = job.image_set.arrival_s, time.monotonic()
        frame = self._builder.build(job.image_set, job.infos)
        if frame is None:
            return
        built = time.monotonic()
        parameters = self.parameters
        self._start_anew_if_due(job.image_set.epoch)
        self._predictor.config = self._tuning.applied(parameters)
        wanted = self._outputs.wanted(built)
        predicted_frame = self._predict(frame, wanted.velocity)
        if predicted_frame is None:
            return
        frame, occupancy = predicted_frame
        predicted = time.monotonic()
        prediction = Prediction(
            occupancy,
            self._predictor.gaussians if wanted.gaussians else None,
        )
        if self._worker.is_stopping:
            return
        self._outputs.publish(prediction, built)
        published = time.monotonic()
        stamp_latency_ms = (self._clock_ns() - frame.stamp_ns) * 1e-6
        horizons_s = parameters.forecast_horizons_s if wanted.forecast else ()
        self._outputs.publish_forecast(self._forecasts(horizons_s), frame.stamp_ns, built)
        report = self._builder.report
        network_ms = {f"network {name}": ms for name, ms in occupancy.timings_ms.items()}
        self.statistics.add(
            FrameRecord(
                done_s=published,
                stages_ms={
                    "wait": (started - arrival_s) * 1e3,
                    "build": (built - started) * 1e3,
                    "predict": (predicted - built) * 1e3,
                    "publish": (published - predicted) * 1e3,
                },
                details_ms={
                    "forecast": (time.monotonic() - published) * 1e3,
                    "decode": report.decode_ms,
                    "tf wait": report.tf_wait_ms,
                    "camera spread": report.camera_spread_ms,
                    **network_ms,
                },
                stamp_latency_ms=stamp_latency_ms,
                cameras=sum(frame.valid),
                memory_age_s=self._predictor.memory_age_s,
            )
        )

    def _predict(self, frame: Frame, velocity: bool) -> tuple[Frame, Occupancy] | None:
        """Predict while it is looked whether the images are whole; again without those that are not.

        None if too few are.
        """
        occupancy = self._predictor.predict(frame, velocity=velocity)
        whole = self._builder.confirm(frame)
        if whole is frame:
            return frame, occupancy
        self._predictor.take_back()
        if whole is None:
            return None
        return whole, self._predictor.predict(whole, velocity=velocity)

    def _start_anew_if_due(self, epoch: int) -> None:
        if epoch != self._epoch or self._reset_asked.is_set():
            self._epoch = epoch
            self._reset_asked.clear()
            self._predictor.reset()

    def _forecasts(self, horizons_s: tuple[float, ...]) -> tuple[Occupancy, ...]:
        self.forecast_error = ""
        if not horizons_s:
            return ()
        try:
            return self._predictor.forecast(horizons_s)
        except ValueError as error:  # farther ahead than this network's flow
            self.forecast_error = str(error)
            return ()

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
        future_limit_s=parameters.future_limit_s,
    )
