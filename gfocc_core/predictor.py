"""The online API: one frame in, one occupancy grid out, memory kept in between.

The ROS node, the evaluation and the benchmarks all go through it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from gfocc_core.checkpoint import load_checkpoint
from gfocc_core.config import Config
from gfocc_core.forecast import check_horizons, voxels_ahead
from gfocc_core.frame import Frame, Occupancy
from gfocc_core.gaussians import Gaussians
from gfocc_core.geometry import CameraRig
from gfocc_core.grid import VoxelGrid
from gfocc_core.inference import InferenceConfig
from gfocc_core.inference.runner_choice import runner_for
from gfocc_core.inference.stage_clock import clock_for
from gfocc_core.model import GaussianFlowNetwork
from gfocc_core.temporal import TemporalMemory, TemporalState


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
        self.memory_age_s: float | None = None
        """Age of the state that the last frame attended to; None if it had no memory."""
        self._memory = TemporalMemory()
        self._last: _LastFrame | None = None
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

    @property
    def state(self) -> TemporalState | None:
        """What the last frame left to those that come."""
        return self._memory.newest

    @property
    def gaussians(self) -> Gaussians | None:
        """The last frame's Gaussians (unbatched), on the device, in that frame's ego frame.

        They hold until the next frame; None before the first one and after a reset.
        """
        return self._last.gaussians if self._last else None

    def reset(self) -> None:
        """Forget the past; the next frame starts a new memory."""
        self._memory.clear()
        self.memory_age_s = None
        self._last = None

    def take_back(self) -> None:
        """Undo the last `predict`, as if its frame had never come: its images were damaged, say.

        There are no `gaussians` and nothing to forecast from until the next frame.

        Raises:
            ValueError: there was no frame since the start, the last reset or `take_back`.
        """
        if self._last is None:
            raise ValueError("there is no frame to take back")
        self._memory.take_back()
        self.memory_age_s = None
        self._last = None

    def warm_up(
        self, image_sizes: Sequence[tuple[int, int]] = (), *, velocity: bool = False
    ) -> float:
        """Run blank frames, so that the first real ones are not slow; returns seconds. Resets.

        Args:
            image_sizes: (height, width) of the cameras to come; else the network's own number
                of cameras and input size. Frames of another rig are prepared for when they come.
            velocity: prepare for frames with velocities too, not only for those without.
        """
        started = time.perf_counter()
        size = (self.config.image.height, self.config.image.width)
        sizes = tuple(image_sizes) or (size,) * self.config.model.cameras
        rig = _blank_rig(sizes)
        images = tuple(torch.zeros(*size, 3, dtype=torch.uint8) for size in sizes)
        pose = torch.eye(4, dtype=torch.float64)
        for with_velocity in (False, True) if velocity else (False,):
            self.reset()
            for stamp_ns in (0, 1):  # without memory, then with it
                frame = Frame(images, rig, pose, stamp_ns, (True,) * len(sizes))
                self.predict(frame, velocity=with_velocity)
        self.reset()
        return time.perf_counter() - started

    @torch.inference_mode()
    def predict(self, frame: Frame, *, velocity: bool = False, to_host: bool = False) -> Occupancy:
        """Predict occupancy in the frame's reference ego frame and remember it.

        The frame attends to the past state about `config.temporal.memory_interval` old, whatever
        the rate of frames; a break in time or another scene starts a new memory.

        Args:
            frame: images, calibration and poses; some cameras may be missing.
            velocity: also splat the flow head's velocities (m/s).
            to_host: the result's tensors lie on the host (page-locked), not on the device.

        Raises:
            ValueError: the frame has more cameras than the network or no valid camera.
        """
        self._check(frame)
        with self._on_device():
            return self._predict(frame, velocity, to_host)

    @torch.inference_mode()
    def forecast(self, seconds: Sequence[float]) -> tuple[Occupancy, ...]:
        """What the last frame's occupancy becomes when its moving Gaussians follow their flow.

        Args:
            seconds: after the last frame, each within 0 to the flow head's horizon (3 s with the
                presets); between the head's steps positions are interpolated.

        Returns:
            One Occupancy per entry, on the device, in the last frame's ego frame as it was then;
            stamped ahead, without velocity.

        Raises:
            ValueError: there was no frame since the start or the last reset, or seconds lie
                outside of the horizon.
        """
        if self._last is None:
            raise ValueError("there is no frame yet to forecast from")
        check_horizons(seconds, self.config)
        last = self._last
        with self._on_device():
            found = list(voxels_ahead(self.network, last.gaussians, seconds, self.config))
            self._wait()
        return tuple(
            Occupancy(labels, density, None, self.grid, last.stamp_ns + round(ahead * 1e9))
            for ahead, (labels, density) in zip(seconds, found, strict=True)
        )

    def _predict(self, frame: Frame, velocity: bool, to_host: bool) -> Occupancy:
        self._clock.start()
        temporal = self.config.temporal
        past = self._memory.recall(frame, temporal)
        self.memory_age_s = past.age_at(frame) if past else None
        self._last = None  # a failing frame may have overwritten them already
        result = self._runner.run(frame, past, self.config, velocity)
        self._memory.remember(TemporalState.from_frame(frame, result.gaussians), temporal)
        self._last = _LastFrame(frame.stamp_ns, result.gaussians)
        labels, density, speed = result.labels, result.density, result.velocity
        if to_host:
            labels, density = _on_host(labels), _on_host(density)
            speed = None if speed is None else _on_host(speed)
            self._clock.mark("download")
        self._wait()
        timings = self._clock.read()
        return Occupancy(labels, density, speed, self.grid, frame.stamp_ns, timings)

    def _on_device(self) -> AbstractContextManager[object]:
        """Triton and graphs use the current device."""
        return torch.cuda.device(self.device) if self.device.type == "cuda" else nullcontext()

    def _wait(self) -> None:
        """Until the device has finished."""
        if self.device.type == "cuda":
            torch.cuda.current_stream(self.device).synchronize()

    def _check(self, frame: Frame) -> None:
        if len(frame.rig) > self.config.model.cameras:
            raise ValueError(
                f"the frame has {len(frame.rig)} cameras, the network knows {self.config.model.cameras}"
            )
        if not any(frame.valid):
            raise ValueError("the frame has no valid camera")


@dataclass(frozen=True)
class _LastFrame:
    """What forecasts start from."""

    stamp_ns: int
    gaussians: Gaussians


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
