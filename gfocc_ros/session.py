"""What exists while the node is active: subscriptions, tf, the pipeline and the log's timers."""

from __future__ import annotations

from rclpy.clock import Clock, ClockType  # type: ignore[attr-defined]
from rclpy.node import Node
from rclpy.timer import Timer
from sensor_msgs.msg import CameraInfo

from gfocc_core.predictor import OccupancyPredictor
from gfocc_ros.camera_subscriptions import CameraSubscriptions
from gfocc_ros.frames.drops import QUIET_DROPS
from gfocc_ros.frames.frame_builder import ImageMessage
from gfocc_ros.parameters.parameters import NodeParameters
from gfocc_ros.pipeline import OccupancyPipeline
from gfocc_ros.publishing.outputs import Outputs
from gfocc_ros.tf.transforms import TransformPoses

ASSEMBLY_TICK_S = 0.01
"""How often deadlines are looked at while a set of images waits for cameras."""
WARNING_PERIOD_S = 1.0


class ActiveSession:
    """Hears cameras and tf, predicts and publishes from construction until `stop`.

    The executor that spins the node calls it; only the pipeline has threads of its own.
    """

    def __init__(
        self,
        node: Node,
        parameters: NodeParameters,
        predictor: OccupancyPredictor,
        outputs: Outputs,
    ) -> None:
        self._node = node
        self._poses = TransformPoses(
            node,
            fixed_frame=parameters.fixed_frame,
            base_frame=parameters.base_frame,
            timeout_s=parameters.tf_timeout_s,
        )
        self.pipeline = OccupancyPipeline(
            parameters,
            predictor,
            self._poses,
            outputs,
            clock_ns=lambda: int(node.get_clock().now().nanoseconds),
        )
        self._reported_frames = 0
        # A steady clock: deadlines and reports must not stop with simulated time.
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._deadline_timer = node.create_timer(
            ASSEMBLY_TICK_S, self._hand_over, clock=self._steady
        )
        self._deadline_timer.cancel()
        self._timers: list[Timer] = [
            self._deadline_timer,
            node.create_timer(WARNING_PERIOD_S, self._warn, clock=self._steady),
            node.create_timer(parameters.report_period_s, self._report, clock=self._steady),
        ]
        self.cameras = CameraSubscriptions(node, parameters, self._on_image, self._on_info)

    def stop(self, timeout_s: float) -> bool:
        """Take no more frames and publish none; returns whether the last one ended in time."""
        for timer in self._timers:
            self._node.destroy_timer(timer)
        self.cameras.destroy()
        ended = self.pipeline.stop(timeout_s)
        self._poses.close()
        return ended

    def _on_image(self, camera: str, message: ImageMessage) -> None:
        if self.pipeline.add_image(camera, message):
            self._poses.clear()
            self._node.get_logger().warning(
                "time was set back: memory and tf start anew", throttle_duration_sec=1.0
            )
        self._hand_over()

    def _on_info(self, camera: str, message: CameraInfo) -> None:
        self.pipeline.add_info(camera, message)

    def _hand_over(self) -> None:
        if not self.pipeline.hand_over():
            self._deadline_timer.cancel()
        elif self._deadline_timer.is_canceled():
            self._deadline_timer.reset()

    def _warn(self) -> None:
        logger = self._node.get_logger()
        for reason, sentence in self.pipeline.drops.take_news().items():
            if reason in QUIET_DROPS:
                logger.debug(sentence)
            else:
                logger.warning(sentence)
        if self.pipeline.forecast_error:
            logger.warning(
                f"no forecast: {self.pipeline.forecast_error}", throttle_duration_sec=10.0
            )

    def _report(self) -> None:
        pipeline = self.pipeline
        frames = pipeline.statistics.total - self._reported_frames
        self._reported_frames += frames
        last = pipeline.statistics.last
        timings = {"latency": last.latency_ms, **last.stages_ms} if last else {}
        told = ", ".join(f"{name} {ms:.0f}" for name, ms in timings.items())
        drops = ", ".join(f"{drop.value} {n}" for drop, n in pipeline.drops.totals().items())
        self._node.get_logger().info(
            f"{frames} frames ({frames / pipeline.parameters.report_period_s:.1f} Hz), "
            f"last one's ms: {told or 'none'}; dropped since the start: {drops or 'nothing'}"
        )
        unheard = pipeline.silent_cameras()
        if unheard:
            self._node.get_logger().warning(f"no image ever came from {', '.join(unheard)}")
