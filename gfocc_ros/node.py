"""The ROS 2 lifecycle node `occupancy`: camera images and tf in, 3D semantic occupancy out.

Only leads from state to state; `occupancy_node` runs it, config/occupancy.yaml describes its
parameters. What each state holds:

| state | network and publishers | subscriptions, tf and worker |
|---|---|---|
| unconfigured | none | none |
| inactive | loaded, warmed up | none |
| active | loaded, warmed up | running |
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import torch
from rcl_interfaces.msg import SetParametersResult
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

from gfocc_core.forecast import check_horizons
from gfocc_core.predictor import OccupancyPredictor
from gfocc_ros.diagnostics.diagnostics import Diagnostics, PipelineWatch
from gfocc_ros.network_loading import load_predictor
from gfocc_ros.parameters.parameter_declaration import declare_parameters, with_changes
from gfocc_ros.parameters.parameters import NodeParameters
from gfocc_ros.parameters.tuning import Tuning
from gfocc_ros.publishing.output_settings import OutputSettings
from gfocc_ros.publishing.outputs import Outputs
from gfocc_ros.session import ActiveSession

DEACTIVATE_TIMEOUT_S = 30.0
"""How long a running prediction may hold up `deactivate`."""


class TransitionError(Exception):
    """A transition failed; says which and why."""


class OccupancyNode(LifecycleNode):
    """Unconfigured after construction; `start` or a lifecycle manager leads it on.

    Raises:
        ParameterError: a parameter cannot be used.
    """

    def __init__(self) -> None:
        super().__init__("occupancy")
        self.parameters = declare_parameters(self)
        self._predictor: OccupancyPredictor | None = None
        self._outputs: Outputs | None = None
        self._session: ActiveSession | None = None
        self._diagnostics = Diagnostics(self)
        self.create_service(Trigger, "~/reset", self._on_reset)
        self.add_on_set_parameters_callback(self._on_parameters)

    def start(self) -> None:
        """Configure and activate, as parameter `autostart` asks for.

        Raises:
            TransitionError: one of both failed.
        """
        for transition in (self.trigger_configure, self.trigger_activate):
            if transition() != TransitionCallbackReturn.SUCCESS:
                raise TransitionError(self._diagnostics.failure)

    def stop(self, timeout_s: float) -> None:
        """Before the end of the process: take no more frames, wait for a prediction that runs."""
        if self._session is not None:
            self._session.stop(timeout_s)

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load and warm up the network, advertise the outputs."""
        return self._attempt("configure", "inactive", self._configure, super().on_configure, state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Listen, predict and publish."""
        return self._attempt("activate", "active", self._activate, super().on_activate, state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop listening; the network stays loaded, its memory is forgotten."""
        stop = self._deactivate
        return self._attempt("deactivate", "inactive", stop, super().on_deactivate, state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unload the network and take the outputs back."""
        return self._attempt("cleanup", "unconfigured", self._release, super().on_cleanup, state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of everything, from whatever state."""
        return self._attempt("shutdown", "finalized", self._release, super().on_shutdown, state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of everything; the node is unconfigured then and may be configured again."""
        failure = self._diagnostics.failure
        self._release()
        self._diagnostics.failure, self._diagnostics.state = failure, "unconfigured"
        return TransitionCallbackReturn.SUCCESS

    def _attempt(
        self,
        name: str,
        goal: str,
        work: Callable[[], None],
        proceed: Callable[[LifecycleState], TransitionCallbackReturn],
        state: LifecycleState,
    ) -> TransitionCallbackReturn:
        """Do a transition's work; what it raises is told in one line, which rclpy would swallow."""
        try:
            work()
            result = proceed(state)
        except Exception as error:
            known = isinstance(error, ValueError | TransitionError)
            reason = str(error) if known else f"{type(error).__name__}: {error}"
            self._diagnostics.failure = f"{name} failed: {' '.join(reason.split())}"
            self.get_logger().error(self._diagnostics.failure)
            return TransitionCallbackReturn.ERROR
        self._diagnostics.failure, self._diagnostics.state = "", goal
        self.get_logger().info(f"{name}: {goal} now")
        return result

    def _configure(self) -> None:
        if not self.parameters.checkpoint:
            self.get_logger().warning(
                "NO CHECKPOINT: the network has RANDOM WEIGHTS (preset "
                f"'{self.parameters.preset}') and its output is NOISE; set parameter 'checkpoint'"
            )
        self._predictor = load_predictor(self.parameters)
        warm_up_s = self._warm_up(self._predictor)
        self._diagnostics.device = self._predictor.device
        self._outputs = Outputs(self, _output_settings(self.parameters))
        self._outputs.warm_up(self._predictor.grid, self._predictor.device)
        self.get_logger().info(
            f"network on {self._predictor.device} ({self.parameters.inference}), "
            f"warmed up in {warm_up_s:.1f} s"
        )
        gc.collect()
        gc.freeze()  # a look at all of torch's objects would hold up a frame, for 0.1 s and more

    def _warm_up(self, predictor: OccupancyPredictor) -> float:
        """Prepare all that frames will need, with what the parameters make of its configuration."""
        trained = predictor.config
        predictor.config = Tuning(trained).applied(self.parameters)
        # What is captured depends on the number of cameras, not on the size of their images.
        size = (trained.image.height, trained.image.width)
        sizes = [size] * len(self.parameters.cameras)
        # Plain frames need no preparation with velocities, captured ones do.
        seconds = predictor.warm_up(sizes, velocity=self.parameters.inference == "fast")
        predictor.config = trained
        return seconds

    def _activate(self) -> None:
        assert self._predictor is not None
        assert self._outputs is not None
        session = ActiveSession(self, self.parameters, self._predictor, self._outputs)
        self._session = session
        self._diagnostics.watch = PipelineWatch(
            session.pipeline, session.cameras.mismatches, self._outputs.mismatches
        )
        self.get_logger().info(
            f"ready: {len(self.parameters.cameras)} cameras ({self.parameters.image_transport})"
        )

    def _deactivate(self) -> None:
        session, self._session, self._diagnostics.watch = self._session, None, None
        if session is not None and not session.stop(DEACTIVATE_TIMEOUT_S):
            raise TransitionError(f"a prediction did not end within {DEACTIVATE_TIMEOUT_S:.0f} s")

    def _release(self) -> None:
        try:
            self._deactivate()
        finally:
            if self._outputs is not None:
                self._outputs.destroy()
            self._outputs = self._predictor = self._diagnostics.device = None
            gc.unfreeze()
            gc.collect()
            if torch.cuda.is_initialized():
                torch.cuda.empty_cache()

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._session is None:
            response.message = "the node is not active: there is no memory"
            return response
        self._session.pipeline.forget()
        response.success = True
        response.message = "the next frame starts a new memory"
        return response

    def _on_parameters(self, changes: list[Parameter[Any]]) -> SetParametersResult:
        try:
            parameters = with_changes(self.parameters, changes)
            if self._predictor is not None:
                check_horizons(parameters.forecast_horizons_s, self._predictor.config)
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self.parameters = parameters
        if self._outputs is not None:
            self._outputs.settings = _output_settings(self.parameters)
        if self._session is not None:
            self._session.pipeline.parameters = self.parameters
        return SetParametersResult(successful=True)


def _output_settings(parameters: NodeParameters) -> OutputSettings:
    return OutputSettings(
        base_frame=parameters.base_frame,
        occupancy_rate_hz=parameters.occupancy_rate_hz,
        grid_rate_hz=parameters.grid_rate_hz,
        markers_rate_hz=parameters.markers_rate_hz,
        gaussians_rate_hz=parameters.gaussians_rate_hz,
        forecast_rate_hz=parameters.forecast_rate_hz,
        grid_min_height_m=parameters.grid_min_height_m,
        grid_max_height_m=parameters.grid_max_height_m,
        forecast_horizons_s=parameters.forecast_horizons_s,
        gaussians_min_opacity=parameters.gaussians_min_opacity,
    )
