"""What the `paper` preset's image cross attention has to sample, as nuScenes' cameras see it.

Positions and visibility come from real projections, the numbers that a network would compute are
random.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from gfocc_core.config import preset
from gfocc_core.geometry import CameraView
from gfocc_core.grid import OCC3D_GRID
from gfocc_core.model.deformable_sampling import SamplingProblem
from gfocc_core.synthetic.rig import RIGS, CameraSpec, ego_from_sensor, intrinsics_of

CONFIG = preset("paper")
STRIDES = (8, 16, 32)
OFFSET_PIXELS = 3.0
"""Standard deviation of the sampling offsets, in pixels of their level."""


def camera_specs(count: int) -> list[CameraSpec]:
    """The first cameras of an order that looks around evenly; raises ValueError beyond eight."""
    known = {camera.name: camera for camera in RIGS["nuscenes"].at_size(*_input_size()).cameras}
    sides = ("FRONT", "BACK", "FRONT_LEFT", "FRONT_RIGHT", "BACK_LEFT", "BACK_RIGHT")
    specs = [known[f"CAM_{side}"] for side in sides]
    half = 0.5**0.5
    for name, rotation in (("LEFT", (half, -half, 0.0, 0.0)), ("RIGHT", (0.0, 0.0, half, -half))):
        specs.append(replace(specs[0], name=f"CAM_{name}", rotation=rotation))
    if count > len(specs):
        raise ValueError(f"--cameras knows up to {len(specs)} cameras, got {count}")
    return specs[:count]


def view_of(specs: list[CameraSpec]) -> CameraView:
    """How ego points project into cameras that have the network's input size."""
    poses = torch.stack([torch.from_numpy(ego_from_sensor(spec)) for spec in specs])
    intrinsics = torch.stack([torch.from_numpy(intrinsics_of(spec)) for spec in specs])
    return CameraView(
        cam_from_ego=torch.linalg.inv(poses).float()[None],
        intrinsics=intrinsics.float()[None],
        affine=torch.eye(2).expand(1, len(specs), 2, 2),
        shift=torch.zeros(1, len(specs), 2),
        valid=torch.ones(1, len(specs), dtype=torch.bool),
        size=_input_size(),
    )


def random_problem(cameras: int, queries: int, seed: int, device: torch.device) -> SamplingProblem:
    """What the paper's decoder asks for, with random numbers for what a network would compute."""
    generator = torch.Generator().manual_seed(seed)
    model, (height, width) = CONFIG.model, _input_size()
    sizes = tuple((height // stride, width // stride) for stride in STRIDES[: model.levels])
    lower, upper = torch.tensor(OCC3D_GRID.lower), torch.tensor(OCC3D_GRID.upper)
    points = lower + torch.rand(1, queries, 3, generator=generator) * (upper - lower)
    reference, visible = view_of(camera_specs(cameras)).project(points)
    samples = (1, queries, model.heads, model.levels, model.points)
    extent = torch.tensor([[columns, rows] for rows, columns in sizes]).view(-1, 1, 2)
    offsets = torch.randn(*samples, 2, generator=generator) * OFFSET_PIXELS / extent
    weights = torch.randn(samples, generator=generator).flatten(-2).softmax(-1).view(samples)
    positions = sum(rows * columns for rows, columns in sizes)
    values = torch.randn(
        *(1, cameras, positions, model.heads, model.channels // model.heads), generator=generator
    )
    return SamplingProblem(
        values=values.to(device),
        level_sizes=sizes,
        reference=reference.to(device),
        visible=visible.to(device),
        offsets=offsets.to(device),
        weights=weights.to(device),
    )


def _input_size() -> tuple[int, int]:
    return CONFIG.image.height, CONFIG.image.width
