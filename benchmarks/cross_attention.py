#!/usr/bin/env python3
"""Time, memory and error of the image cross attention's sampling, beside bare `grid_sample` calls.

Sizes of the preset `paper`. Queries project from random points of the Occ3D grid into nuScenes'
six cameras; of fewer the first ones count, seven and eight look to the sides. One sweep over the
number of queries with six cameras, one over the cameras with 10 000 queries.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
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
    relative_norm,
)
from sampling_problems import camera_specs, random_problem
from torch import Tensor

from gfocc_core.model.deformable_sampling import SamplingProblem, sample_reference, sample_views

Backend = Literal["reference", "triton", "grid_sample"]
INPUT_SETS = {"cuda": 4, "cpu": 2}
ON_THE_GPU = [1000, 3000, 10_000, 30_000, 100_000]
ON_THE_CPU = [1000, 3000, 10_000]
MIDDLE, USUAL_CAMERAS = 10_000, 6
DIFFERENTIABLE = ("values", "reference", "offsets", "weights")
NOTES = (
    "several sets of inputs take turns; launched: from Python on an idle device; "
    "replay: GPU time of a CUDA graph; cold: L2 overwritten before each run",
    "reference: visible pairs only, through grid_sample; grid_sample: nothing but these calls, one "
    "per camera and level, on maps and positions that lie ready; it neither weighs nor sums",
    "error against the reference in float64 on the same inputs: forward: largest difference; "
    "backward: norm of the difference over the gradient's (bilinear weights have kinks; a sample on "
    "one may fall to either side)",
    "extra MiB: most memory allocated during a call, less its outputs",
)


@dataclass(frozen=True)
class Variant:
    """Who computes, on values of which precision."""

    backend: Backend
    values: torch.dtype = torch.float32


def with_leaves(problem: SamplingProblem) -> tuple[SamplingProblem, list[Tensor]]:
    """A problem whose numbers want gradients, and these numbers."""
    leaves = {name: getattr(problem, name).detach().requires_grad_() for name in DIFFERENTIABLE}
    return replace(problem, **leaves), list(leaves.values())


def upstream(output: Tensor) -> Tensor:
    """Gradient of a loss by the output: the same in every precision."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(output.shape, generator=generator).to(output)


def ready_for_grid_sample(problem: SamplingProblem) -> list[tuple[Tensor, Tensor]]:
    """Maps [H, D, h, w] and positions [H, Q, P, 2] of every camera and level of batch 0."""
    calls = []
    areas = [height * width for height, width in problem.level_sizes]
    for view, seen in enumerate(problem.visible[0]):
        pairs = seen.nonzero().squeeze(-1)
        places = problem.reference[0, view, pairs, None, None, None] + problem.offsets[0, pairs]
        levels = problem.values[0, view].split(areas)
        for index, (size, level) in enumerate(zip(problem.level_sizes, levels, strict=True)):
            maps = level.permute(1, 2, 0).unflatten(-1, size).contiguous()
            positions = (places[:, :, index].transpose(0, 1) * 2 - 1).contiguous()
            calls.append((maps.requires_grad_(), positions.requires_grad_()))
    return calls


def work_of(call: str, problem: SamplingProblem, backend: Backend) -> Work:
    """The forward or the backward of one problem."""
    if backend == "grid_sample":
        calls = ready_for_grid_sample(problem)

        def forward() -> tuple[Tensor, ...]:
            return tuple(F.grid_sample(*given, align_corners=False) for given in calls)

        leaves = [tensor for pair in calls for tensor in pair]
    else:
        problem, leaves = with_leaves(problem)

        def forward() -> tuple[Tensor, ...]:
            return (sample_views(problem, backend),)

    if call == "forward":
        return torch.no_grad()(forward)
    outputs = forward()
    return backward_work(outputs, leaves, [upstream(output) for output in outputs])


def error_of(call: str, work: Work, problem: SamplingProblem) -> float:
    """How far the outputs of a work are off the float64 reference."""
    exact, leaves = with_leaves(
        replace(problem, **{name: getattr(problem, name).double() for name in DIFFERENTIABLE})
    )
    output = sample_reference(exact)
    if call == "forward":
        return largest_difference(work()[0], output.detach())
    return relative_norm(work(), torch.autograd.grad(output, leaves, upstream(output)))


def run(cameras: int, queries: int, variant: Variant, given: argparse.Namespace) -> list[Row]:
    """The rows of one size and one variant."""
    sets = [
        random_problem(cameras, queries, seed, given.device)
        for seed in range(INPUT_SETS[given.device.type])
    ]
    sets = [replace(problem, values=problem.values.to(variant.values)) for problem in sets]
    rows = []
    for call in ("forward", "backward"):
        works = [work_of(call, problem, variant.backend) for problem in sets]
        comparable = variant.backend != "grid_sample"
        case = {
            "call": call,
            "queries": queries,
            "cameras": cameras,
            "visible pairs": int(sets[0].visible.sum()),
            "backend": variant.backend,
            "values": str(variant.values).removeprefix("torch."),
        }
        cost = measure(
            works,
            given.device,
            repeats=given.repeats,
            seconds=given.seconds,
            capture=variant.backend != "reference",
            repetitions=given.determinism,
        )
        rows.append(Row(case, cost, error_of(call, works[0], sets[0]) if comparable else None))
    return rows


def cases(
    counts: list[int], cameras: list[int], backend: Backend
) -> list[tuple[int, int, Variant]]:
    """(cameras, queries, variant) of both sweeps; where they meet, every variant."""
    middle = MIDDLE if MIDDLE in counts else counts[0]
    usual = Variant(backend)
    sizes = {(USUAL_CAMERAS, count) for count in counts} | {(count, middle) for count in cameras}
    sweeps = [(*size, usual) for size in sorted(sizes)]
    others = [Variant(backend, torch.bfloat16), Variant("reference"), Variant("grid_sample")]
    return sweeps + [(USUAL_CAMERAS, middle, other) for other in others if other != usual]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--queries", type=positive_numbers, help="sweep (default: 1000 to 100000, CPU 10000)"
    )
    parser.add_argument("--cameras", type=positive_numbers, default=[1, 4, 6, 8])
    add_common_options(parser)
    given = parser.parse_args(argv)
    check_common_options(parser, given)
    sweep = ON_THE_GPU if given.device.type == "cuda" else ON_THE_CPU
    try:
        camera_specs(max(given.cameras))
    except ValueError as error:
        parser.error(str(error))
    with own_stream(given.device):
        rows = [
            row
            for case in cases(given.queries or sweep, given.cameras, given.backend)
            for row in run(*case, given)
        ]
    finish(parser, given, "Image cross attention", NOTES, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
