"""The online API: one frame in, one occupancy grid out, memory kept in between.

The ROS node, the evaluation and the benchmarks all go through it.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from gfocc_core.checkpoint import load_checkpoint
from gfocc_core.config import Config
from gfocc_core.frame import Frame, Occupancy
from gfocc_core.gaussians import Gaussians
from gfocc_core.geometry import CameraRig, CameraView
from gfocc_core.grid import VoxelGrid
from gfocc_core.model import GaussianFlowNetwork, Memory
from gfocc_core.preprocess import preprocess
from gfocc_core.temporal import TemporalState
from gfocc_core.voxelizer.api import classify, voxelize, voxelize_labels

_log = logging.getLogger(__name__)


class OccupancyPredictor:
    """Turns a stream of frames into occupancy; not safe for calls from several threads at once."""

    def __init__(
        self, network: GaussianFlowNetwork, config: Config, device: torch.device | str = "auto"
    ) -> None:
        self.config = config
        self.device = resolve_device(device)
        self.network = network.to(self.device).eval().requires_grad_(False)
        self.state: TemporalState | None = None

    @classmethod
    def from_checkpoint(
        cls, path: str | Path, device: torch.device | str = "auto"
    ) -> OccupancyPredictor:
        """Load a safetensors checkpoint; raises CheckpointError naming the file and the problem."""
        device = resolve_device(device)
        network, config = load_checkpoint(path)
        return cls(network, config, device)

    @classmethod
    def from_config(
        cls, config: Config, device: torch.device | str = "auto", seed: int = 0
    ) -> OccupancyPredictor:
        """An untrained predictor: random weights drawn from the seed; its output is noise."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = GaussianFlowNetwork(config.model, config.grid)
        return cls(network, config, device)

    @property
    def grid(self) -> VoxelGrid:
        return self.config.grid

    def reset(self) -> None:
        """Forget the past; the next frame starts a new memory."""
        self.state = None

    def warm_up(self) -> float:
        """Run one blank frame, so that the first real one is not slow; returns seconds. Resets."""
        started = time.perf_counter()
        count, size = self.config.model.cameras, self.config.image
        matrix = torch.tensor(
            [[size.width, 0.0, size.width / 2], [0.0, size.width, size.height / 2], [0.0, 0.0, 1.0]]
        )
        rig = CameraRig(
            names=tuple(f"blank_{index}" for index in range(count)),
            intrinsics=matrix.expand(count, 3, 3),
            ego_from_cam=torch.eye(4).expand(count, 4, 4),
            image_sizes=((size.height, size.width),) * count,
        )
        blank = torch.zeros(size.height, size.width, 3, dtype=torch.uint8)
        pose = torch.eye(4, dtype=torch.float64)
        for stamp_ns in (0, 1):  # without memory, then with it
            self.predict(Frame((blank,) * count, rig, pose, stamp_ns, (True,) * count))
        self.reset()
        return time.perf_counter() - started

    @torch.inference_mode()
    def predict(self, frame: Frame, *, velocity: bool = False) -> Occupancy:
        """Predict occupancy in the frame's reference ego frame and remember it.

        Args:
            frame: images, calibration and poses; some cameras may be missing.
            velocity: also splat the flow head's velocities (m/s).

        Raises:
            ValueError: the frame has more cameras than the network or no valid camera.
        """
        self._check(frame)
        watch = _Stopwatch(self.device)
        images, view = preprocess(frame, self.config.image, self.device)
        watch.lap("preprocess")
        levels = self.network.encode(images)
        watch.lap("encode")
        gaussians = self.network.decode(levels, view, self._memory(frame, levels, view))
        self.state = TemporalState.from_frame(frame, gaussians.item(0))
        watch.lap("decode")
        labels, density, speed = self._occupancy(gaussians, velocity)
        watch.lap("voxelize")
        timings = watch.laps | {"total": sum(watch.laps.values())}
        return Occupancy(labels, density, speed, self.grid, frame.stamp_ns, timings)

    def _check(self, frame: Frame) -> None:
        if len(frame.rig) > self.config.model.cameras:
            raise ValueError(
                f"the frame has {len(frame.rig)} cameras, the network knows {self.config.model.cameras}"
            )
        if not any(frame.valid):
            raise ValueError("the frame has no valid camera")

    def _memory(self, frame: Frame, levels: list[Tensor], view: CameraView) -> Memory:
        """The past moved into this frame; without one, this frame's own memoryless pass."""
        if self.state is not None:
            reason = self.state.broken_by(frame, self.config.temporal)
            if reason is None:
                means = self.state.means_in(frame.global_from_ego)
                return Memory(means[None], self.state.features[None])
            _log.info("memory dropped: %s", reason)
        gaussians = self.network.decode(levels, view)
        return Memory(gaussians.means, gaussians.features)

    def _occupancy(
        self, gaussians: Gaussians, with_velocity: bool
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        config = self.config.occupancy
        if not with_velocity:
            return (*voxelize_labels(gaussians.item(0), self.grid, config), None)
        step = torch.ones(1, 1, dtype=torch.long, device=self.device)
        velocities = self.network.flow(gaussians, step)[0, 0] / self.config.temporal.frame_interval
        only = gaussians.item(0)
        opacity = only.opacities.unsqueeze(-1)
        channels = torch.cat([only.logits, opacity * velocities, opacity], -1)
        density, sums = voxelize(replace(only, logits=channels), self.grid, config.neighborhood)
        logits, momentum, mass = sums.split([only.logits.shape[-1], 3, 1], -1)
        labels, density = classify(density, logits, config)
        mean_velocity = momentum / mass.clamp(min=torch.finfo(mass.dtype).tiny)
        return labels, density, torch.where(density.unsqueeze(-1) > 0, mean_velocity, 0)


class _Stopwatch:
    """Milliseconds between laps; waits for the GPU so that a stage pays for its own work."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.laps: dict[str, float] = {}
        self.started = self._now()

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def lap(self, stage: str) -> None:
        now = self._now()
        self.laps[stage] = (now - self.started) * 1e3
        self.started = now


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
