"""The sampling kernels against their reference twin; in Triton's interpreter where there is no GPU."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from gfocc_core.model.deformable_sampling import SamplingProblem, sample_reference, sample_views
from tests.core.interpreted import problems_when_interpreted

SIZES = ((6, 9), (3, 5), (2, 2))
DIFFERENTIABLE = ("values", "reference", "offsets", "weights")


def problem(
    batch: int = 2,
    views: int = 3,
    queries: int = 7,
    heads: int = 2,
    channels: int = 4,
    points: int = 3,
    dtype: torch.dtype = torch.float64,
    device: str = "cpu",
) -> SamplingProblem:
    generator = torch.Generator().manual_seed(0)

    def rand(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, dtype=torch.float64).to(device, dtype)

    positions = sum(height * width for height, width in SIZES)
    visible = rand(batch, views, queries) < 0.6
    visible[:, :, :1] = False
    return SamplingProblem(
        values=rand(batch, views, positions, heads, channels) - 0.5,
        level_sizes=SIZES,
        reference=rand(batch, views, queries, 2),
        visible=visible,
        offsets=(rand(batch, queries, heads, len(SIZES), points, 2) - 0.5) * 1.2,
        weights=rand(batch, queries, heads, len(SIZES), points),
    )


def gradients(given: SamplingProblem, backend: str) -> tuple[Tensor, dict[str, Tensor]]:
    """The result and the gradients of a weighted sum of it."""
    leaves = {n: getattr(given, n).detach().clone().requires_grad_() for n in DIFFERENTIABLE}
    result = sample_views(replace(given, **leaves), backend)
    direction = torch.linspace(-1, 1, result.numel(), device=result.device).view_as(result)
    (result * direction).sum().backward()
    return result.detach(), {name: leaf.grad for name, leaf in leaves.items()}


def compare_with_reference(device: str, **sizes: int) -> None:
    given = problem(dtype=torch.float32, device=device, **sizes)
    wanted, wanted_gradients = gradients(given, "reference")
    found, found_gradients = gradients(given, "triton")
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)
    for name in DIFFERENTIABLE:
        torch.testing.assert_close(
            found_gradients[name], wanted_gradients[name], rtol=1e-4, atol=1e-5, msg=name
        )


def by_hand(given: SamplingProblem, batch: int, query: int, head: int, channel: int) -> float:
    """One number of the result, from the definition."""
    total, seeing = 0.0, 0
    for view in range(given.visible.shape[1]):
        if not given.visible[batch, view, query]:
            continue
        seeing += 1
        start = 0
        for level, (height, width) in enumerate(given.level_sizes):
            grid = given.values[batch, view, start : start + height * width, head, channel]
            start += height * width
            for point in range(given.offsets.shape[4]):
                place = (
                    given.reference[batch, view, query]
                    + given.offsets[batch, query, head, level, point]
                )
                x, y = float(place[0]) * width - 0.5, float(place[1]) * height - 0.5
                for row in range(height):
                    for column in range(width):
                        share = max(0.0, 1 - abs(x - column)) * max(0.0, 1 - abs(y - row))
                        weight = float(given.weights[batch, query, head, level, point])
                        total += share * weight * float(grid[row * width + column])
    return total / max(seeing, 1)


def test_reference_follows_the_definition() -> None:
    given = problem()
    result = sample_reference(given).unflatten(-1, (2, 4))
    for batch, query, head, channel in [(0, 1, 0, 0), (1, 6, 1, 3), (0, 4, 1, 2), (1, 3, 0, 1)]:
        assert float(result[batch, query, head, channel]) == pytest.approx(
            by_hand(given, batch, query, head, channel), abs=1e-6
        )


def test_query_that_no_view_sees_is_zero() -> None:
    assert not sample_reference(problem())[:, 0].any()


def test_unknown_backend_is_named() -> None:
    with pytest.raises(ValueError, match="got 'numba'"):
        sample_views(problem(), "numba")


def train_after_predicting(device: str) -> None:
    """The same problem without, then with gradients, in one process."""
    with torch.inference_mode():
        sample_views(problem(queries=2, dtype=torch.float32, device=device), "triton")
    compare_with_reference(device, queries=2)


IN_INTERPRETER = {
    "usual": "compare_with_reference('cpu', queries=4)",
    "odd sizes": "compare_with_reference('cpu', queries=3, heads=3, channels=5, points=2)",
    "one view": "compare_with_reference('cpu', batch=1, views=1)",
    "no query": "compare_with_reference('cpu', queries=0)",
    "training after a prediction": "train_after_predicting('cpu')",
}


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | None]:
    folder = tmp_path_factory.mktemp("interpreter")
    return problems_when_interpreted(__name__, IN_INTERPRETER.values(), folder)


@pytest.mark.parametrize("case", IN_INTERPRETER)
def test_kernels_equal_the_reference_in_the_interpreter(
    case: str, problems: dict[str, str | None]
) -> None:
    problem = problems[IN_INTERPRETER[case]]
    assert problem is None, problem


@pytest.mark.gpu
def test_kernels_equal_the_reference_on_the_gpu() -> None:
    compare_with_reference("cuda")
    compare_with_reference("cuda", queries=300, heads=8, channels=32, points=8)


@pytest.mark.gpu
def test_kernels_take_bfloat16_values() -> None:
    given = problem(dtype=torch.float32, device="cuda", channels=16)
    half = replace(given, values=given.values.bfloat16())
    wanted = sample_reference(replace(half, values=half.values.float()))
    torch.testing.assert_close(sample_views(half, "triton"), wanted, rtol=1e-5, atol=1e-6)


def test_triton_without_a_gpu_says_why() -> None:
    with pytest.raises(RuntimeError, match="backend 'triton' cannot run: it runs on a CUDA device"):
        sample_views(problem(), "triton")
