"""The reference voxelizer against a direct evaluation of its formula, and what it must survive."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gfocc_core.config import OccupancyConfig
from gfocc_core.gaussians import Gaussians
from gfocc_core.grid import VoxelGrid
from gfocc_core.voxelizer import voxelize, voxelize_labels
from gfocc_core.voxelizer.api import classify, voxelize_moving

GRID = VoxelGrid(lower=(-2.0, -1.6, -1.0), voxel_size=0.4, shape=(10, 8, 6))


def random_gaussians(count: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Gaussians:
    generator = torch.Generator().manual_seed(seed)
    lower = torch.tensor(GRID.lower) - 2.5
    extent = torch.tensor(GRID.upper) + 2.5 - lower
    return Gaussians(
        means=(lower + torch.rand(count, 3, generator=generator) * extent).to(dtype),
        scales=(0.1 + 0.6 * torch.rand(count, 3, generator=generator)).to(dtype),
        quats=torch.randn(count, 4, generator=generator).to(dtype),
        opacities=torch.rand(count, generator=generator).to(dtype),
        logits=torch.randn(count, 5, generator=generator).to(dtype),
        features=torch.zeros(count, 2, dtype=dtype),
    )


def direct(gaussians: Gaussians, neighborhood: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The sums of ALGORITHM 6, voxel by voxel, through inverted covariances."""
    precision = torch.linalg.inv(gaussians.covariances())
    home = torch.floor((gaussians.means - torch.tensor(GRID.lower)) / GRID.voxel_size)
    density = torch.zeros(GRID.shape, dtype=gaussians.means.dtype)
    logits = torch.zeros(*GRID.shape, gaussians.logits.shape[1], dtype=gaussians.means.dtype)
    for index in torch.cartesian_prod(*(torch.arange(n) for n in GRID.shape)):
        center = torch.tensor(GRID.lower) + (index + 0.5) * GRID.voxel_size
        away = center - gaussians.means
        weight = torch.exp(-0.5 * torch.einsum("ni,nij,nj->n", away, precision, away))
        weight = weight * ((index - home).abs() <= neighborhood).all(-1)
        density[tuple(index)] = (weight * gaussians.opacities).sum().clamp(0, 1)
        logits[tuple(index)] = weight @ gaussians.logits
    return density, logits


@pytest.mark.parametrize("neighborhood", [0, 1, 4])
def test_equals_the_formula(neighborhood: int) -> None:
    gaussians = random_gaussians(40)
    density, logits = voxelize(gaussians, GRID, neighborhood)
    expected_density, expected_logits = direct(gaussians, neighborhood)
    assert torch.allclose(density, expected_density, atol=1e-5)
    assert torch.allclose(logits, expected_logits, atol=1e-5)
    assert int((density > 0).sum()) >= 3


def test_a_batch_equals_its_items() -> None:
    first, second = random_gaussians(20, 1), random_gaussians(20, 2)
    both = Gaussians(
        *(torch.stack([getattr(first, name), getattr(second, name)]) for name in vars(first))
    )
    density, logits = voxelize(both, GRID)
    for index, one in enumerate((first, second)):
        alone_density, alone_logits = voxelize(one, GRID)
        assert torch.equal(density[index], alone_density)
        assert torch.equal(logits[index], alone_logits)


def test_many_chunks_equal_one(monkeypatch: pytest.MonkeyPatch) -> None:
    gaussians = random_gaussians(50)
    whole = voxelize(gaussians, GRID)
    monkeypatch.setattr("gfocc_core.voxelizer.reference.PAIRS_AT_ONCE", 2000)
    parts = voxelize(gaussians, GRID)
    assert torch.allclose(whole[0], parts[0])
    assert torch.allclose(whole[1], parts[1])


def test_gradients_are_right() -> None:
    gaussians = random_gaussians(4)
    inputs = [
        tensor.clone().requires_grad_()
        for tensor in (
            gaussians.means,
            gaussians.scales,
            gaussians.quats,
            gaussians.opacities * 0.2,
            gaussians.logits,
        )
    ]

    def run(*tensors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return voxelize(Gaussians(*tensors, gaussians.features), GRID, 2)

    assert torch.autograd.gradcheck(run, inputs, atol=1e-5, fast_mode=True)


def test_no_gaussians_give_an_empty_grid() -> None:
    density, logits = voxelize(random_gaussians(0), GRID)
    assert tuple(density.shape) == GRID.shape
    assert tuple(logits.shape) == (*GRID.shape, 5)
    assert float(density.abs().sum()) == float(logits.abs().sum()) == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("means", float("nan")),
        ("means", float("inf")),
        ("means", 1e30),
        ("scales", 0.0),
        ("scales", -0.3),
        ("scales", float("nan")),
        ("quats", 0.0),
        ("opacities", float("nan")),
        ("logits", float("inf")),
    ],
)
def test_a_broken_gaussian_contributes_nothing(name: str, value: float) -> None:
    gaussians = random_gaussians(10, dtype=torch.float32)
    healthy = Gaussians(*(getattr(gaussians, field)[1:] for field in vars(gaussians)))
    broken = getattr(gaussians, name).clone()
    broken[0] = value
    density, logits = voxelize(replace(gaussians, **{name: broken}), GRID)
    expected_density, expected_logits = voxelize(healthy, GRID)
    assert torch.equal(density, expected_density)
    assert torch.equal(logits, expected_logits)


def test_labels_are_free_below_the_threshold_and_above_the_ceiling() -> None:
    density = torch.tensor([0.04, 0.05, 0.9, 0.0005, 0.9]).view(1, 1, 5)
    logits = torch.zeros(1, 1, 5, 16)
    logits[..., 3] = 1
    labels, cleaned = classify(density, logits, OccupancyConfig(ceiling_index=4))
    assert labels.flatten().tolist() == [17, 4, 4, 17, 17]
    assert cleaned.flatten().tolist() == pytest.approx([0.04, 0.05, 0.9, 0.0, 0.0])
    assert labels.dtype == torch.uint8


def test_opacity_weighs_density_but_not_logits() -> None:
    gaussians = random_gaussians(10)
    fainter = replace(gaussians, opacities=gaussians.opacities * 0.5)
    density, logits = voxelize(gaussians, GRID)
    fainter_density, fainter_logits = voxelize(fainter, GRID)
    assert torch.equal(logits, fainter_logits)
    below_one = density < 1
    assert torch.allclose(fainter_density[below_one], density[below_one] * 0.5)


def test_the_fused_call_equals_both_steps() -> None:
    gaussians = random_gaussians(30, dtype=torch.float32)
    config = OccupancyConfig(neighborhood=2, ceiling_index=5)
    labels, density = voxelize_labels(gaussians, GRID, config)
    expected_labels, expected_density = classify(*voxelize(gaussians, GRID, 2), config)
    assert torch.equal(labels, expected_labels)
    assert torch.equal(density, expected_density)


def test_bad_arguments_are_named() -> None:
    gaussians = random_gaussians(1)
    with pytest.raises(ValueError, match="neighborhood must be >= 0, got -1"):
        voxelize(gaussians, GRID, -1)
    with pytest.raises(ValueError, match=r"backend must be .*, got 'cuda'"):
        voxelize(gaussians, GRID, backend="cuda")  # type: ignore[arg-type]


def test_velocities_are_means_over_what_makes_the_density() -> None:
    gaussians, config = random_gaussians(60), OccupancyConfig(ceiling_index=5, neighborhood=2)
    velocities = torch.randn(60, 3, dtype=torch.float64) * (torch.arange(60) % 4 == 0).unsqueeze(1)
    labels, density, found = voxelize_moving(gaussians, velocities, GRID, config)
    momentum = gaussians.opacities.unsqueeze(1) * velocities
    sums = replace(gaussians, logits=torch.cat([momentum, gaussians.opacities[:, None]], 1))
    _, dense = voxelize(sums, GRID, config.neighborhood)
    wanted = torch.where(density.unsqueeze(-1) > 0, dense[..., :3] / dense[..., 3:], 0)
    torch.testing.assert_close(found, wanted)
    assert bool((found != 0).any())
    wanted_labels, wanted_density = voxelize_labels(gaussians, GRID, config)
    assert torch.equal(labels, wanted_labels)
    assert torch.equal(density, wanted_density)
