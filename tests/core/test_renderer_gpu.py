"""gsplat on the GPU against the reference renderer: values and gradients."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch

from gfocc_core.gaussians import Gaussians
from gfocc_core.renderer import Rendered, RenderViews, render_views
from gfocc_core.renderer.api import views_of
from tests.core.conftest import make_rig

pytestmark = pytest.mark.gpu

SIZE = (64, 176)
NAMES = ("means", "scales", "quats", "opacities", "logits")


@pytest.fixture(scope="module", autouse=True)
def _gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    pytest.importorskip("gsplat", reason="gsplat is not installed")


def scene(count: int, seed: int) -> Gaussians:
    generator = torch.Generator().manual_seed(seed)
    spread = torch.tensor([60.0, 60.0, 6.0])
    return Gaussians(
        means=(torch.rand(count, 3, generator=generator) - 0.5) * spread
        + torch.tensor([0, 0, 1.5]),
        scales=0.05 + 0.9 * torch.rand(count, 3, generator=generator),
        quats=torch.nn.functional.normalize(torch.randn(count, 4, generator=generator), dim=-1),
        opacities=torch.rand(count, generator=generator),
        logits=torch.randn(count, 16, generator=generator),
        features=torch.zeros(count, 1),
    )


def run(
    gaussians: Gaussians, views: RenderViews, backend: str
) -> tuple[Rendered, list[torch.Tensor]]:
    moved = gaussians.to("cuda")
    leaves = {name: getattr(moved, name).clone().requires_grad_() for name in NAMES}
    rendered = render_views(Gaussians(**leaves, features=moved.features), views, backend)  # type: ignore[arg-type]
    generator = torch.Generator("cuda").manual_seed(0)
    weights = [
        torch.randn(image.shape, generator=generator, device="cuda")
        for image in (rendered.logits, rendered.depth)
    ]
    loss = (rendered.logits * weights[0]).sum() + (rendered.depth * weights[1]).sum() * 0.1
    return rendered, list(torch.autograd.grad(loss, list(leaves.values())))


def relative_error(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return float((ours - theirs).norm() / theirs.norm())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_values_and_gradients_agree(seed: int) -> None:
    gaussians = scene(1500, seed)
    rig_views = views_of(make_rig(6, (900, 1600)).to("cuda"), SIZE)
    reference, reference_gradients = run(gaussians, rig_views, "reference")
    rendered, gradients = run(gaussians, rig_views, "gsplat")
    assert float(reference.alpha.mean()) > 0.2
    errors = {
        field.name: relative_error(getattr(rendered, field.name), getattr(reference, field.name))
        for field in fields(Rendered)
    }
    errors |= {
        f"d/d {name}": relative_error(ours, theirs)
        for name, ours, theirs in zip(NAMES, gradients, reference_gradients, strict=True)
    }
    print({name: f"{error:.1e}" for name, error in errors.items()})
    assert max(errors.values()) < 1e-3


def test_leading_dimensions_agree() -> None:
    views = views_of(make_rig(6, (900, 1600)).to("cuda"), SIZE)
    scenes = [[scene(300, 2 * b + s).to("cuda") for s in range(2)] for b in range(2)]
    batched = Gaussians(
        *(
            torch.stack([torch.stack([getattr(s, f.name) for s in row]) for row in scenes])
            for f in fields(Gaussians)
        )
    )
    both = RenderViews(
        views.cam_from_ego.expand(2, 2, -1, -1, -1).contiguous(),
        views.intrinsics.expand(2, 2, -1, -1, -1).contiguous(),
        SIZE,
    )
    rendered = render_views(batched, both, "gsplat")
    for b in range(2):
        for s in range(2):
            alone = render_views(scenes[b][s], views, "gsplat")
            assert torch.allclose(rendered.logits[b, s], alone.logits, atol=1e-5)
            assert torch.allclose(rendered.depth[b, s], alone.depth, atol=1e-4)
