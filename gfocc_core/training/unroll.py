"""Memory for training: the previous keyframes run through the network, without gradient."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gfocc_core.gaussians import Gaussians
from gfocc_core.geometry import CameraView, transform_points
from gfocc_core.model import GaussianFlowNetwork, Memory
from gfocc_core.temporal import ego_motion


@dataclass(frozen=True)
class Clip:
    """B short sequences of T keyframes, oldest first; the last one is the present."""

    images: Tensor
    """[B, T, C, 3, H, W] normalised."""
    view: CameraView
    """Fields with leading [B, T]."""
    global_from_ego: Tensor
    """[B, T, 4, 4] float64."""

    def view_at(self, index: int) -> CameraView:
        """The view (leading [B]) of one time."""
        fields = ("cam_from_ego", "intrinsics", "affine", "shift", "valid")
        return replace(self.view, **{f: getattr(self.view, f)[:, index] for f in fields})


def run_clip(network: GaussianFlowNetwork, clip: Clip) -> Gaussians:
    """Gaussians of the present (leading [B]), with gradient; the past is run without.

    The oldest frame runs twice, as the first frame of a scene does online.
    """
    present = clip.images.shape[1] - 1
    with torch.no_grad():
        memory: Memory | None = None
        past = network.encode(clip.images[:, :present].flatten(1, 2)) if present else []
        cameras = clip.images.shape[2]
        for index in range(present):
            frame = slice(index * cameras, (index + 1) * cameras)
            levels = [level[:, frame] for level in past]
            view = clip.view_at(index)
            if memory is None:
                memory = _remember(network.decode(levels, view))
            memory = _remember(network.decode(levels, view, memory))
            memory = _advance(memory, clip.global_from_ego, index)
    levels, view = network.encode(clip.images[:, present]), clip.view_at(present)
    if memory is None:
        with torch.no_grad():
            memory = _remember(network.decode([level.detach() for level in levels], view))
    return network.decode(levels, view, memory)


def _remember(gaussians: Gaussians) -> Memory:
    return Memory(gaussians.means, gaussians.features)


def _advance(memory: Memory, global_from_ego: Tensor, index: int) -> Memory:
    """Means of frame `index` moved into the ego frame of the next one."""
    motion = ego_motion(global_from_ego[:, index], global_from_ego[:, index + 1])
    with torch.autocast(memory.means.device.type, enabled=False):
        means = transform_points(motion.to(memory.means.dtype), memory.means)
    return Memory(means, memory.features)
