"""The online API: one frame in, one occupancy grid out, memory kept in between.

The ROS node, the evaluation and the benchmarks all go through it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor

from gfocc_core.checkpoint import load_checkpoint
from gfocc_core.config import Config
from gfocc_core.frame import Frame, Occupancy
from gfocc_core.geometry import CameraRig
from gfocc_core.grid import VoxelGrid
from gfocc_core.inference import InferenceConfig
from gfocc_core.inference.runner_choice import runner_for
from gfocc_core.inference.stage_clock import clock_for
from gfocc_core.model import GaussianFlowNetwork
from gfocc_core.temporal import TemporalState

_log = logging.getLogger(__name__)


class OccupancyPredictor:
    """Turns a stream of frames into occupancy; not safe for calls from several threads at once.

    Computes in plain float32 unless an InferenceConfig asks for more speed; its weights are taken
    over on construction.
    """

    def __init__(
        self,
        network: GaussianFlowNetwork,
        config: Config,
        device: torch.device | str = "auto",
        inference: InferenceConfig | None = None,
    ) -> None:
        self.config = config
        self.device = resolve_device(device)
        self.network = network.to(self.device).eval().requires_grad_(False)
        self.inference = inference or InferenceConfig()
        self.state: TemporalState | None = None
        """What the next frame remembers; its tensors hold until the next frame."""
        self._clock = clock_for(self.device, self.inference.stage_timings)
        self._runner = runner_for(self.network, self.inference, self.device, self._clock)

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path,
        device: torch.device | str = "auto",
        inference: InferenceConfig | None = None,
    ) -> OccupancyPredictor:
        """Load a safetensors checkpoint; raises CheckpointError naming the file and the problem."""
        device = resolve_device(device)
        network, config = load_checkpoint(path)
        return cls(network, config, device, inference)

    @classmethod
    def from_config(
        cls,
        config: Config,
        device: torch.device | str = "auto",
        seed: int = 0,
        inference: InferenceConfig | None = None,
    ) -> OccupancyPredictor:
        """An untrained predictor: random weights drawn from the seed; its output is noise."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = GaussianFlowNetwork(config.model, config.grid)
        return cls(network, config, device, inference)

    @property
    def grid(self) -> VoxelGrid:
        return self.config.grid

    def reset(self) -> None:
        """Forget the past; the next frame starts a new memory."""
        self.state = None

    def warm_up(self, image_sizes: Sequence[tuple[int, int]] = ()) -> float:
        """Run blank frames, so that the first real ones are not slow; returns seconds. Resets.

        Args:
            image_sizes: (height, width) of the cameras to come; else the network's own number
                of cameras and input size. Frames of another rig are prepared for when they come.
        """
        started = time.perf_counter()
        size = (self.config.image.height, self.config.image.width)
        sizes = tuple(image_sizes) or (size,) * self.config.model.cameras
        rig = _blank_rig(sizes)
        images = tuple(torch.zeros(*size, 3, dtype=torch.uint8) for size in sizes)
        pose = torch.eye(4, dtype=torch.float64)
        for stamp_ns in (0, 1):  # without memory, then with it
            self.predict(Frame(images, rig, pose, stamp_ns, (True,) * len(sizes)))
        self.reset()
        return time.perf_counter() - started

    @torch.inference_mode()
    def predict(self, frame: Frame, *, velocity: bool = False, to_host: bool = False) -> Occupancy:
        """Predict occupancy in the frame's reference ego frame and remember it.

        Args:
            frame: images, calibration and poses; some cameras may be missing.
            velocity: also splat the flow head's velocities (m/s).
            to_host: the result's tensors lie on the host (page-locked), not on the device.

        Raises:
            ValueError: the frame has more cameras than the network or no valid camera.
        """
        self._check(frame)
        # Triton and graphs use the current device.
        with torch.cuda.device(self.device) if self.device.type == "cuda" else nullcontext():
            return self._predict(frame, velocity, to_host)

    def _predict(self, frame: Frame, velocity: bool, to_host: bool) -> Occupancy:
        self._clock.start()
        result = self._runner.run(frame, self._past(frame), self.config, velocity)
        self.state = TemporalState.from_frame(frame, result.gaussians)
        labels, density, speed = result.labels, result.density, result.velocity
        if to_host:
            labels, density = _on_host(labels), _on_host(density)
            speed = None if speed is None else _on_host(speed)
            self._clock.mark("download")
        if self.device.type == "cuda":
            torch.cuda.current_stream(self.device).synchronize()
        timings = self._clock.read()
        return Occupancy(labels, density, speed, self.grid, frame.stamp_ns, timings)

    def _check(self, frame: Frame) -> None:
        if len(frame.rig) > self.config.model.cameras:
            raise ValueError(
                f"the frame has {len(frame.rig)} cameras, the network knows {self.config.model.cameras}"
            )
        if not any(frame.valid):
            raise ValueError("the frame has no valid camera")

    def _past(self, frame: Frame) -> TemporalState | None:
        """What the frame may remember."""
        reason = self.state.broken_by(frame, self.config.temporal) if self.state else None
        if reason is None:
            return self.state
        _log.info("memory dropped: %s", reason)
        return None


def _blank_rig(sizes: tuple[tuple[int, int], ...]) -> CameraRig:
    """Level cameras at the ego origin, all looking along its z."""
    matrices = [
        [[width, 0.0, width / 2], [0.0, width, height / 2], [0.0, 0.0, 1.0]]
        for height, width in sizes
    ]
    return CameraRig(
        names=tuple(f"blank_{index}" for index in range(len(sizes))),
        intrinsics=torch.tensor(matrices),
        ego_from_cam=torch.eye(4).expand(len(sizes), 4, 4),
        image_sizes=sizes,
    )


def _on_host(tensor: Tensor) -> Tensor:
    """A copy in page-locked memory that is under way; a tensor on the host itself."""
    if tensor.device.type == "cpu":
        return tensor
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return host.copy_(tensor, non_blocking=True)


def resolve_device(device: torch.device | str) -> torch.device:
    """`auto` is the GPU if there is one; raises ValueError on a device that cannot be had."""
    if str(device) == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
        torch.empty(0, device=resolved)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device '{device}' cannot be used: {error}") from error
    return resolved
