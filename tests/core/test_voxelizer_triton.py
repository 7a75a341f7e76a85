"""The Triton voxelizer against the reference: in the interpreter here, on a GPU where there is one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from gfocc_core.config import OccupancyConfig
from gfocc_core.gaussians import Gaussians
from gfocc_core.grid import OCC3D_GRID, VoxelGrid
from gfocc_core.triton_support import triton_unusable
from gfocc_core.voxelizer import voxelize, voxelize_labels
from gfocc_core.voxelizer.api import VoxelizerBackend
from tests.core.interpreted import problems_when_interpreted

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
    gaussians: Gaussians, grid: VoxelGrid, neighborhood: int, backend: VoxelizerBackend
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


def all_in_one_voxel_are_summed(device: str = "cpu") -> None:
    """A crowd: every tile near it goes through many groups, every rank is a tie."""
    gaussians = scene(SMALL, 150, device=device)
    means = gaussians.means / 100 + torch.tensor([0.2, 0.2, 0.2], device=device)
    gaussians = replace(gaussians, means=means, opacities=gaussians.opacities / 100)
    found = voxelize(gaussians, SMALL, 2, "triton")
    exact = replace(gaussians, **{n: getattr(gaussians, n).double() for n in PROPERTIES})
    wanted = voxelize(exact, SMALL, 2, "reference")
    assert float(wanted[0].max()) > 0.3
    torch.testing.assert_close(found[0].double(), wanted[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found[1].double(), wanted[1], atol=1e-3, rtol=1e-4)


def all_outside_make_an_empty_grid(device: str = "cpu") -> None:
    gaussians = scene(SMALL, 20, device=device)
    for away in (-100.0, 100.0, 3e38):
        for axis in range(3):
            means = gaussians.means.clone()
            means[..., axis] = away
            density, logits, slopes = gradients(replace(gaussians, means=means), SMALL, 3, "triton")
            assert not bool(density.any())
            assert not bool(logits.any())
            assert not any(bool(slope.any()) for slope in slopes.values())


def needles_stay_finite(device: str = "cpu") -> None:
    gaussians = scene(SMALL, 20, device=device)
    scales = gaussians.scales.clone()
    for number, size in enumerate((1e-4, 1e-12, 1e-20, 1e-30, 1e-38, 1e-42, 1e30)):
        scales[0, number, number % 3] = size
    density, logits, slopes = gradients(replace(gaussians, scales=scales), SMALL, 3, "triton")
    for values in (density, logits, *slopes.values()):
        assert bool(values.isfinite().all())


def order_is_by_strip_and_column(
    count: int, grid: VoxelGrid, neighborhood: int, tile: tuple[int, int, int] = (2, 2, 16)
) -> None:
    """The sort against torch's stable one; column starts against a count."""
    from gfocc_core.voxelizer.triton_sorting import sort_gaussians

    gaussians = scene(grid, count, batch=2, classes=3)
    gaussians.opacities[:, ::7] = float("nan")
    inputs = tuple(getattr(gaussians, name) for name in PROPERTIES)
    found = sort_gaussians(inputs, grid, neighborhood, tile)
    columns = grid.shape[1] + 2 * neighborhood
    edges = torch.tensor([tile[0], 1, tile[2]])
    for item in range(2):
        home = grid.index_of(gaussians.means[item])
        inside = (home >= -neighborhood) & (home < torch.tensor(grid.shape) + neighborhood)
        usable = inside.all(-1) & gaussians.opacities[item].isfinite()
        kept = usable.nonzero().squeeze(-1)
        cell = (home[kept] + neighborhood) // edges
        if grid.shape[2] <= tile[2]:
            cell[:, 2] = 0
        strip = cell[:, 2] * found.strips.wide + cell[:, 0]
        order = (strip * columns + cell[:, 1]).argsort(stable=True)
        assert 0 < len(kept) < count
        assert int(strip.max()) < len(found.starts[item])
        assert torch.equal(found.bins[item] >= 0, usable)
        assert int(found.starts[item, -1, -1]) == len(kept)
        assert torch.equal(found.order[item, : len(kept)].long(), kept[order])
        assert torch.equal(found.values[item, : len(kept), :3], inputs[4][item, kept[order]])
        key = strip * (columns + 1) + cell[:, 1]
        for here, starts in enumerate(found.starts[item]):
            for there in (0, columns // 2, columns):
                assert int(starts[there]) == int((key < here * (columns + 1) + there).sum())


def runs_and_tiles_do_not_matter() -> None:
    """The same bits from the same tiles, the same sums from others."""
    from gfocc_core.voxelizer import triton_backend

    grid = VoxelGrid(lower=(-1.0, -1.0, -0.8), shape=(5, 6, 4))
    gaussians = scene(grid, 12, batch=2)
    first = voxelize(gaussians, grid, 2, "triton")
    assert all(map(torch.equal, first, voxelize(gaussians, grid, 2, "triton")))
    usual = triton_backend.TILE, triton_backend.GROUP
    for tile, group in (((2, 4, 8), 16), ((4, 2, 4), 32), ((8, 4, 4), 16), ((1, 2, 2), 16)):
        triton_backend.TILE, triton_backend.GROUP = tile, group
        for found, wanted in zip(voxelize(gaussians, grid, 2, "triton"), first, strict=True):
            torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    triton_backend.TILE, triton_backend.GROUP = usual


IN_INTERPRETER = {
    "plain": "compare_with_float64(SMALL, 40, 2)",
    "batch, other classes": "compare_with_float64(SMALL, 5, 4, batch=2, classes=5)",
    "one class, own voxel only": "compare_with_float64(SMALL, 60, 0, batch=2, classes=1)",
    "wide": "compare_with_float64(VoxelGrid(lower=(-1., -1., -1.), shape=(5, 5, 5)), 30, 1, classes=17)",
    "more than a block of the sort": (
        "compare_with_float64(VoxelGrid(lower=(-1., -1., -1.), shape=(4, 4, 4)), 600, 1)"
    ),
    "high": "compare_with_float64(VoxelGrid(lower=(-1., -1., -4.), shape=(3, 4, 20)), 20, 3)",
    "neighborhood beyond the tiles": "compare_with_float64(SMALL, 2, 9)",
    "one Gaussian": "compare_with_float64(VoxelGrid(lower=(-.4, -.4, -.4), shape=(2, 2, 2)), 1, 4)",
    "crowd": "all_in_one_voxel_are_summed()",
    "outside": "all_outside_make_an_empty_grid()",
    "degenerate": "degenerate_ones_leave_no_trace()",
    "needles": "needles_stay_finite()",
    "nothing": "nothing_makes_an_empty_grid()",
    "order": "order_is_by_strip_and_column(700, SMALL, 3)",
    "order of many strips": (
        "order_is_by_strip_and_column("
        "200, VoxelGrid(lower=(-20., -1., -1.), shape=(100, 9, 4)), 1, tile=(1, 4, 1))"
    ),
    "order of many columns": (
        "order_is_by_strip_and_column(300, VoxelGrid(lower=(-1., -60., -1.), shape=(5, 300, 5)), 1)"
    ),
    "order of layers": "order_is_by_strip_and_column(300, SMALL, 3, tile=(4, 4, 4))",
    "order in one strip": (
        "order_is_by_strip_and_column(900, VoxelGrid(lower=(-.4, -1., -1.), shape=(2, 5, 5)), 0)"
    ),
    "runs and tiles": "runs_and_tiles_do_not_matter()",
}


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | None]:
    folder = tmp_path_factory.mktemp("interpreter")
    return problems_when_interpreted(__name__, IN_INTERPRETER.values(), folder)


@pytest.mark.parametrize("case", IN_INTERPRETER)
def test_in_the_interpreter(case: str, problems: dict[str, str | None]) -> None:
    problem = problems[IN_INTERPRETER[case]]
    assert problem is None, problem


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
    all_outside_make_an_empty_grid("cuda")
    all_in_one_voxel_are_summed("cuda")
    needles_stay_finite("cuda")


@pytest.mark.gpu
def test_a_graph_replays_it_on_new_numbers() -> None:
    gaussians, other = scene(OCC3D_GRID, 3000, device="cuda"), scene(OCC3D_GRID, 3000, batch=2)
    config = OccupancyConfig()
    voxelize_labels(gaussians, OCC3D_GRID, config, "triton")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        labels, density = voxelize_labels(gaussians, OCC3D_GRID, config, "triton")
    for name in PROPERTIES:
        getattr(gaussians, name).copy_(getattr(other, name)[1:])
    graph.replay()
    wanted_labels, wanted_density = voxelize_labels(gaussians, OCC3D_GRID, config, "triton")
    assert torch.equal(labels, wanted_labels)
    assert torch.equal(density, wanted_density)


@pytest.mark.gpu
@pytest.mark.parametrize("count", [10_000, 100_000])
def test_it_takes_little_memory_beyond_its_outputs(count: int) -> None:
    gaussians = scene(OCC3D_GRID, count, device="cuda")
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    with torch.no_grad():
        outputs = voxelize(gaussians, OCC3D_GRID, 4, "triton")
    own = sum(output.nbytes for output in outputs)
    assert torch.cuda.max_memory_allocated() - before - own <= 64 * 2**20


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
