"""The Triton voxelizer against the reference: in the interpreter here, on a GPU where there is one."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gfocc_core.config import OccupancyConfig
from gfocc_core.gaussians import Gaussians
from gfocc_core.grid import OCC3D_GRID, VoxelGrid
from gfocc_core.triton_support import triton_unusable
from gfocc_core.voxelizer import voxelize, voxelize_labels

PROPERTIES = ("means", "scales", "quats", "opacities", "logits")
SMALL = VoxelGrid(lower=(-2.0, -2.0, -1.0), shape=(10, 9, 6))


def scene(
    grid: VoxelGrid, count: int, batch: int = 1, classes: int = 16, device: str = "cpu"
) -> Gaussians:
    """Gaussians in the grid and up to a metre around it."""
    generator = torch.Generator().manual_seed(0)

    def rand(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator)

    lower, upper = torch.tensor(grid.lower), torch.tensor(grid.upper)
    return Gaussians(
        means=lower - 1 + rand(batch, count, 3) * (upper - lower + 2),
        scales=0.1 + 0.9 * rand(batch, count, 3),
        quats=torch.randn(batch, count, 4, generator=generator),
        opacities=rand(batch, count),
        logits=torch.randn(batch, count, classes, generator=generator),
        features=torch.zeros(batch, count, 1),
    ).to(device)


def gradients(
    gaussians: Gaussians, grid: VoxelGrid, neighborhood: int, backend: str
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    leaves = {n: getattr(gaussians, n).detach().clone().requires_grad_() for n in PROPERTIES}
    density, logits = voxelize(replace(gaussians, **leaves), grid, neighborhood, backend)
    generator = torch.Generator().manual_seed(1)
    by_density = torch.randn(density.shape, generator=generator).to(density)
    by_logits = torch.randn(logits.shape, generator=generator).to(logits)
    ((density * by_density).sum() + (logits * by_logits).sum()).backward()
    return density.detach(), logits.detach(), {n: leaf.grad for n, leaf in leaves.items()}


def compare_with_float64(
    grid: VoxelGrid,
    count: int,
    neighborhood: int,
    *,
    batch: int = 1,
    classes: int = 16,
    device: str = "cpu",
) -> None:
    gaussians = scene(grid, count, batch, classes, device)
    exact = replace(gaussians, **{n: getattr(gaussians, n).double() for n in PROPERTIES})
    density, logits, found = gradients(gaussians, grid, neighborhood, "triton")
    true_density, true_logits, wanted = gradients(exact, grid, neighborhood, "reference")
    torch.testing.assert_close(density.double(), true_density, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(logits.double(), true_logits, atol=1e-3, rtol=1e-4)
    for name in PROPERTIES:
        scale = wanted[name].abs().max().clamp(min=1e-6)
        error = (found[name].double() - wanted[name]).abs().max() / scale
        assert float(error) < 1e-4, (name, float(error))
    config = OccupancyConfig(neighborhood=neighborhood)
    labels, cleaned = voxelize_labels(gaussians, grid, config, "triton")
    true_labels, true_cleaned = voxelize_labels(gaussians, grid, config, "reference")
    assert float((labels == true_labels).float().mean()) > 0.9999
    near = (cleaned - true_cleaned).abs() < 1e-4
    assert bool((near | (cleaned < 2e-3)).all())


def degenerate_ones_leave_no_trace(device: str = "cpu") -> None:
    """NaN and infinite numbers, empty scales and zero quaternions contribute nothing."""
    gaussians = scene(SMALL, 12, device=device)
    broken = {n: getattr(gaussians, n).clone() for n in PROPERTIES}
    broken["means"][0, 0, 1] = float("nan")
    broken["means"][0, 1, 2] = float("inf")
    broken["scales"][0, 2, 0] = 0.0
    broken["scales"][0, 3, 1] = -0.5
    broken["scales"][0, 4, 1] = float("inf")
    broken["quats"][0, 5] = 0.0
    broken["opacities"][0, 6] = float("nan")
    broken["logits"][0, 7, 3] = float("-inf")
    sound = replace(gaussians, **{n: getattr(gaussians, n)[:, 8:] for n in PROPERTIES})
    everything = replace(gaussians, **broken)
    for found, wanted in zip(
        voxelize(everything, SMALL, 3, "triton"),
        voxelize(sound, SMALL, 3, "reference"),
        strict=True,
    ):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    _, _, slopes = gradients(everything, SMALL, 3, "triton")
    for name in PROPERTIES:
        assert not bool(slopes[name][:, :8].any()), name


def nothing_makes_an_empty_grid(device: str = "cpu") -> None:
    density, logits = voxelize(scene(SMALL, 0, batch=2, device=device), SMALL, 4, "triton")
    assert density.shape == (2, *SMALL.shape)
    assert not bool(density.any())
    assert not bool(logits.any())


IN_INTERPRETER = {
    "plain": "compare_with_float64(SMALL, 40, 2)",
    "batch, other classes": "compare_with_float64(SMALL, 9, 4, batch=2, classes=5)",
    "wide": "compare_with_float64(VoxelGrid(lower=(-1., -1., -1.), shape=(5, 5, 5)), 30, 1, classes=17)",
    "more than a tile's list holds": (
        "compare_with_float64(VoxelGrid(lower=(-1., -1., -1.), shape=(4, 4, 4)), 1100, 1)"
    ),
    "high": "compare_with_float64(VoxelGrid(lower=(-1., -1., -4.), shape=(3, 4, 20)), 20, 3)",
    "degenerate": "degenerate_ones_leave_no_trace()",
    "nothing": "nothing_makes_an_empty_grid()",
}


@pytest.mark.parametrize("code", IN_INTERPRETER.values(), ids=IN_INTERPRETER.keys())
def test_in_the_interpreter(code: str) -> None:
    pytest.importorskip("triton")
    environment = {**os.environ, "TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    program = f"from test_voxelizer_triton import *; {code}"
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_without_a_gpu_the_reference_is_taken_and_triton_says_why() -> None:
    gaussians = scene(SMALL, 3)
    assert "CUDA device" in (triton_unusable(torch.device("cpu")) or "")
    density, _ = voxelize(gaussians, SMALL)
    assert torch.equal(density, voxelize(gaussians, SMALL, backend="reference")[0])
    with pytest.raises(RuntimeError, match="backend 'triton' cannot run: it runs on a CUDA device"):
        voxelize(gaussians, SMALL, backend="triton")


@pytest.mark.gpu
@pytest.mark.parametrize("neighborhood", [3, 4, 5])
def test_on_the_gpu(neighborhood: int) -> None:
    compare_with_float64(OCC3D_GRID, 2000, neighborhood, device="cuda")
    compare_with_float64(SMALL, 50, neighborhood, batch=3, classes=5, device="cuda")


@pytest.mark.gpu
def test_broken_gaussians_on_the_gpu() -> None:
    degenerate_ones_leave_no_trace("cuda")
    nothing_makes_an_empty_grid("cuda")


@pytest.mark.gpu
def test_a_hundred_runs_are_the_same_bit_for_bit() -> None:
    gaussians = scene(OCC3D_GRID, 10_000, device="cuda")
    first = gradients(gaussians, OCC3D_GRID, 4, "triton")
    for _ in range(99):
        again = gradients(gaussians, OCC3D_GRID, 4, "triton")
        assert torch.equal(first[0], again[0])
        assert torch.equal(first[1], again[1])
        for name in PROPERTIES:
            assert torch.equal(first[2][name], again[2][name])
