#!/usr/bin/env python3
"""Time, memory and error of the voxelizer: density and logits, fused labels, and the backward.

Random Gaussians on the Occ3D grid (200 x 200 x 16, 16 classes), in the grid and up to two voxels around.
One sweep over their number at neighbourhood 4, one over the neighbourhood at 10 000 Gaussians.
"""

from __future__ import annotations

import argparse
import functools
import sys
from dataclasses import fields, replace

import torch
from kernel_report import (
    Row,
    add_common_options,
    check_common_options,
    finish,
    positive_numbers,
)
from kernel_timing import (
    Work,
    backward_work,
    largest_difference,
    measure,
    own_stream,
    relative_difference,
)
from torch import Tensor

from gfocc_core.config import OccupancyConfig
from gfocc_core.gaussians import Gaussians
from gfocc_core.grid import OCC3D_GRID
from gfocc_core.taxonomy import NUM_PREDICTED_CLASSES
from gfocc_core.voxelizer import voxelize, voxelize_labels
from gfocc_core.voxelizer.api import VoxelizerBackend, classify

INPUT_SETS = {"cuda": 4, "cpu": 2}
ON_THE_GPU = [1000, 3000, 10_000, 30_000, 100_000]
ON_THE_CPU = [1000, 3000, 10_000]
MIDDLE, USUAL_REACH = 10_000, 4
CALLS = ("logits", "labels", "backward")
DIFFERENTIABLE = ("means", "scales", "quats", "opacities", "logits")
NOTES = (
    "several sets of inputs take turns; launched: from Python on an idle device; "
    "replay: GPU time of a CUDA graph; cold: L2 overwritten before each run",
    "error against the float64 reference on the same inputs: logits and density: largest "
    "difference; labels: share that differs; backward: largest difference over largest gradient",
    "extra MiB: most memory allocated during a call, less its outputs",
)


def random_gaussians(count: int, seed: int, device: torch.device) -> Gaussians:
    generator = torch.Generator().manual_seed(seed)
    shape = torch.tensor(OCC3D_GRID.shape)
    voxel = (torch.rand(count, 3, generator=generator) * (shape + 4)).floor() - 2
    # Clear of the borders of voxels, where float32 and float64 may see different home voxels.
    place = voxel + 0.001 + 0.998 * torch.rand(count, 3, generator=generator)
    return Gaussians(
        means=torch.tensor(OCC3D_GRID.lower) + place * OCC3D_GRID.voxel_size,
        scales=0.1 + 0.9 * torch.rand(count, 3, generator=generator),
        quats=torch.randn(count, 4, generator=generator),
        opacities=torch.rand(count, generator=generator),
        logits=torch.randn(count, NUM_PREDICTED_CLASSES, generator=generator),
        features=torch.zeros(count, 0),
    ).to(device)


def upstream(device: torch.device) -> tuple[Tensor, Tensor]:
    """Gradients of a loss by the density and by the logits."""
    generator = torch.Generator(device).manual_seed(0)
    shape = (*OCC3D_GRID.shape, 1 + NUM_PREDICTED_CLASSES)
    density, logits = torch.randn(shape, generator=generator, device=device).tensor_split([1], -1)
    return density[..., 0].contiguous(), logits.contiguous()


def with_leaves(gaussians: Gaussians) -> tuple[Gaussians, list[Tensor]]:
    """Gaussians whose properties want gradients, and these properties."""
    leaves = {name: getattr(gaussians, name).detach().requires_grad_() for name in DIFFERENTIABLE}
    return replace(gaussians, **leaves), list(leaves.values())


def in_float64(gaussians: Gaussians) -> Gaussians:
    return replace(
        gaussians, **{f.name: getattr(gaussians, f.name).double() for f in fields(gaussians)}
    )


def work_of(call: str, gaussians: Gaussians, neighborhood: int, backend: VoxelizerBackend) -> Work:
    """One of CALLS on some Gaussians."""
    if call == "labels":
        config = OccupancyConfig(neighborhood=neighborhood)
        return functools.partial(voxelize_labels, gaussians, OCC3D_GRID, config, backend)
    if call == "logits":
        return functools.partial(voxelize, gaussians, OCC3D_GRID, neighborhood, backend)
    wanting, leaves = with_leaves(gaussians)
    outputs = voxelize(wanting, OCC3D_GRID, neighborhood, backend)
    return backward_work(outputs, leaves, upstream(gaussians.means.device))


class Truth:
    """What float64 gives for one set of Gaussians."""

    def __init__(self, gaussians: Gaussians, neighborhood: int) -> None:
        wanting, leaves = with_leaves(in_float64(gaussians))
        outputs = voxelize(wanting, OCC3D_GRID, neighborhood, "reference")
        above = [gradient.double() for gradient in upstream(gaussians.means.device)]
        self.gradients = torch.autograd.grad(outputs, leaves, above)
        self.density, self.logits = (output.detach() for output in outputs)
        config = OccupancyConfig(neighborhood=neighborhood)
        self.labels, _ = classify(self.density, self.logits, config)

    def error(self, call: str, found: tuple[Tensor, ...]) -> float:
        """How far the outputs of a call are off, in the unit that NOTES say."""
        if call == "labels":
            return float((found[0] != self.labels).double().mean())
        if call == "backward":
            return relative_difference(found, self.gradients)
        density, logits = found
        return max(
            largest_difference(density, self.density), largest_difference(logits, self.logits)
        )


def run(count: int, neighborhood: int, given: argparse.Namespace) -> list[Row]:
    """The rows of one number of Gaussians and one neighbourhood."""
    sets = [
        random_gaussians(count, seed, given.device) for seed in range(INPUT_SETS[given.device.type])
    ]
    truth = Truth(sets[0], neighborhood)
    rows = []
    for call in CALLS:
        works = [work_of(call, gaussians, neighborhood, given.backend) for gaussians in sets]
        with torch.set_grad_enabled(call == "backward"):
            error = truth.error(call, works[0]())
            cost = measure(
                works,
                given.device,
                repeats=given.repeats,
                seconds=given.seconds,
                capture=given.backend == "triton",
                repetitions=given.determinism,
            )
        case = {
            "call": call,
            "Gaussians": count,
            "neighbourhood": neighborhood,
            "backend": given.backend,
        }
        rows.append(Row(case, cost, error))
    return rows


def cases(counts: list[int], neighborhoods: list[int]) -> list[tuple[int, int]]:
    """(Gaussians, neighbourhood) of both sweeps."""
    middle = MIDDLE if MIDDLE in counts else counts[0]
    return sorted({(n, USUAL_REACH) for n in counts} | {(middle, n) for n in neighborhoods})


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--gaussians", type=positive_numbers, help="sweep (default: 1000 to 100000, CPU 10000)"
    )
    parser.add_argument("--neighborhoods", type=positive_numbers, default=[3, 4, 5])
    add_common_options(parser)
    given = parser.parse_args(argv)
    check_common_options(parser, given)
    sweep = ON_THE_GPU if given.device.type == "cuda" else ON_THE_CPU
    with own_stream(given.device):
        rows = [
            row
            for case in cases(given.gaussians or sweep, given.neighborhoods)
            for row in run(*case, given)
        ]
    finish(parser, given, "Voxelizer", NOTES, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
