"""The one way to voxelize: picks the backend, handles batches, turns densities into labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from typing import Literal

import torch
from torch import Tensor

from gfocc_core.config import OccupancyConfig
from gfocc_core.gaussians import Gaussians
from gfocc_core.grid import VoxelGrid
from gfocc_core.taxonomy import FREE_ID
from gfocc_core.triton_support import triton_unusable
from gfocc_core.voxelizer.reference import voxelize_reference
from gfocc_core.voxelizer.wanted_logits import Splat

VoxelizerBackend = Literal["auto", "reference", "triton"]


def voxelize(
    gaussians: Gaussians,
    grid: VoxelGrid,
    neighborhood: int = 4,
    backend: VoxelizerBackend = "auto",
) -> tuple[Tensor, Tensor]:
    """Splat Gaussians into voxels (ALGORITHM 6).

    A Gaussian with a NaN or infinite property, a scale that is not positive or a zero
    quaternion contributes nothing.

    Args:
        gaussians: N Gaussians in the grid's frame, with or without one batch dimension B.
        neighborhood: a Gaussian reaches this many voxels from its own, on each axis.
        backend: "reference" is plain torch; "triton" are GPU kernels in float32; "auto" takes
            them for float32 on a GPU where Triton works, else the reference.

    Returns:
        density [(B,) X, Y, Z], clamped to 0..1, and logits [(B,) X, Y, Z, K]. Both are differentiable.

    Raises:
        ValueError: negative neighborhood, unknown backend or too many dimensions.
        RuntimeError: backend "triton" that cannot run; says why.
    """
    _check(gaussians, neighborhood, backend)
    if _on_triton(gaussians.means, backend):
        from gfocc_core.voxelizer.triton_backend import voxelize_triton

        density, logits = voxelize_triton(_batched(gaussians), grid, neighborhood)
        return (density, logits) if gaussians.means.ndim == 3 else (density[0], logits[0])
    if gaussians.means.ndim == 2:
        return voxelize_reference(gaussians, grid, neighborhood)
    items = [
        voxelize_reference(gaussians.item(index), grid, neighborhood)
        for index in range(gaussians.means.shape[0])
    ]
    return torch.stack([density for density, _ in items]), torch.stack([it for _, it in items])


def voxelize_labels(
    gaussians: Gaussians,
    grid: VoxelGrid,
    config: OccupancyConfig,
    backend: VoxelizerBackend = "auto",
) -> tuple[Tensor, Tensor]:
    """Splat and classify in one call; on a GPU the logits never leave the kernel.

    Args and errors are those of `voxelize`.

    Returns:
        labels uint8 [(B,) X, Y, Z] (Occ3D ids, 17 free) and the cleaned density [(B,) X, Y, Z].
    """
    _check(gaussians, config.neighborhood, backend)
    if _on_triton(gaussians.means, backend):
        from gfocc_core.voxelizer.triton_backend import voxelize_labels_triton

        labels, density = voxelize_labels_triton(_batched(gaussians), grid, config)
        return (labels, density) if gaussians.means.ndim == 3 else (labels[0], density[0])
    if gaussians.means.ndim == 2:
        labels, density, _ = _reference_labels(gaussians, grid, config)
        return labels, density
    items = [
        _reference_labels(gaussians.item(index), grid, config)
        for index in range(gaussians.means.shape[0])
    ]
    return torch.stack([labels for labels, *_ in items]), torch.stack([it[1] for it in items])


def voxelize_moving(
    gaussians: Gaussians,
    velocities: Tensor,
    grid: VoxelGrid,
    config: OccupancyConfig,
    backend: VoxelizerBackend = "auto",
) -> tuple[Tensor, Tensor, Tensor]:
    """As `voxelize_labels`, with velocities.

    Args:
        gaussians: N without batch dimension.
        velocities: [N, 3] m/s.

    Returns:
        labels and density as `voxelize_labels`, and velocity [X, Y, Z, 3]: the mean over the
        Gaussians that make the voxel's density, 0 where the cleaned density is 0.
    """
    _check(gaussians, config.neighborhood, backend)
    opacity = gaussians.opacities.unsqueeze(-1)
    if _on_triton(gaussians.means, backend):
        channels = torch.cat([gaussians.logits, opacity * velocities, opacity], -1)
        splat = replace(gaussians, logits=channels)
        density, sums = voxelize(splat, grid, config.neighborhood, backend)
        logits, momentum, mass = sums.split([gaussians.logits.shape[-1], 3, 1], -1)
        labels, density = classify(density, logits, config)
    else:
        labels, density, mass = _reference_labels(gaussians, grid, config)
        moving = replace(gaussians, logits=opacity * velocities).item(velocities.any(-1))
        _, momentum = voxelize_reference(moving, grid, config.neighborhood)
        mass = mass.unsqueeze(-1)
    velocity = momentum / mass.clamp(min=torch.finfo(mass.dtype).tiny)
    return labels, density, torch.where(density.unsqueeze(-1) > 0, velocity, 0)


def voxelize_labels_each(
    still: Gaussians, moving: Sequence[Gaussians], grid: VoxelGrid, config: OccupancyConfig
) -> Iterator[tuple[Tensor, Tensor]]:
    """As `voxelize_labels` of `still` together with each of `moving`; what is still is splatted once.

    By the reference: meant for a CPU, on a GPU the fused kernel is faster each time.

    Args:
        still: Gaussians without batch dimension, as those of `moving`.
    """
    _check(still, config.neighborhood, "reference")
    rest = Splat(still, grid, config.neighborhood)
    rest_mass = rest.mass()
    # Splatted again below: they are few, and if they are not, keeping all of them takes memory.
    masses = [rest_mass + Splat(few, grid, config.neighborhood).mass() for few in moving]
    reached = torch.zeros_like(rest_mass, dtype=torch.bool)
    for mass in masses:
        reached |= mass >= config.threshold
    found = reached.nonzero().squeeze(1)
    rest_logits = rest.logits_at(found)
    for few, mass in zip(moving, masses, strict=True):
        logits = rest_logits + Splat(few, grid, config.neighborhood).logits_at(found)
        yield _labelled(mass, found, logits, grid, config)


def classify(density: Tensor, logits: Tensor, config: OccupancyConfig) -> tuple[Tensor, Tensor]:
    """Labels uint8 [..., X, Y, Z] and density with the floor and ceiling of ALGORITHM 6 applied."""
    best = (logits.argmax(-1) + 1).to(torch.uint8)
    density = _cleaned(density, config)
    return torch.where(density >= config.threshold, best, FREE_ID), density


def _reference_labels(
    gaussians: Gaussians, grid: VoxelGrid, config: OccupancyConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """Labels and cleaned density [X, Y, Z] by the reference, and the density before it is clamped."""
    splat = Splat(gaussians, grid, config.neighborhood)
    mass = splat.mass()
    found = (mass >= config.threshold).nonzero().squeeze(1)
    labels, density = _labelled(mass, found, splat.logits_at(found), grid, config)
    return labels, density, mass.view(grid.shape)


def _labelled(
    mass: Tensor, found: Tensor, logits: Tensor, grid: VoxelGrid, config: OccupancyConfig
) -> tuple[Tensor, Tensor]:
    """Labels and cleaned density [X, Y, Z] from the logits [M, K] of all voxels that may be occupied.

    Args:
        mass: [X * Y * Z], not clamped.
        found: flat positions int64 [M], among them all where mass reaches the threshold.
    """
    density = _cleaned(mass.clamp(0, 1).view(grid.shape), config)
    labels = torch.full((grid.num_voxels,), FREE_ID, dtype=torch.uint8, device=density.device)
    labels[found] = (logits.argmax(-1) + 1).to(torch.uint8)
    return torch.where(density >= config.threshold, labels.view(grid.shape), FREE_ID), density


def _cleaned(density: Tensor, config: OccupancyConfig) -> Tensor:
    density = torch.where(density < config.density_floor, 0, density)
    density[..., config.ceiling_index :] = 0
    return density


def _check(gaussians: Gaussians, neighborhood: int, backend: str) -> None:
    if neighborhood < 0:
        raise ValueError(f"neighborhood must be >= 0, got {neighborhood}")
    if backend not in ("auto", "reference", "triton"):
        raise ValueError(f"backend must be 'auto', 'reference' or 'triton', got '{backend}'")
    if gaussians.means.ndim not in (2, 3):
        raise ValueError(
            f"gaussians.means must be [N, 3] or [B, N, 3], got {list(gaussians.means.shape)}"
        )


def _on_triton(means: Tensor, backend: str) -> bool:
    if backend == "reference" or (backend == "auto" and means.dtype == torch.float64):
        return False
    problem = triton_unusable(means.device)
    if problem and backend == "triton":
        raise RuntimeError(f"backend 'triton' cannot run: {problem}")
    return not problem


def _batched(gaussians: Gaussians) -> Gaussians:
    if gaussians.means.ndim == 3:
        return gaussians
    return replace(
        gaussians, **{f.name: getattr(gaussians, f.name).unsqueeze(0) for f in fields(gaussians)}
    )
