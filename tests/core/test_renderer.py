"""The reference renderer against a per-pixel evaluation of its formula, and its gradients."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch

from gfocc_core.gaussians import Gaussians
from gfocc_core.geometry import invert_transform, transform_points
from gfocc_core.renderer import RenderViews, render, render_views
from gfocc_core.renderer.api import views_of
from tests.core.conftest import camera_pose, make_rig

SIZE = (18, 32)


def scene(count: int = 40, seed: int = 0, classes: int = 3) -> Gaussians:
    """Gaussians around the vehicle, most of them in front of the first camera."""
    generator = torch.Generator().manual_seed(seed)
    uniform = torch.rand(count, 3, generator=generator)
    return Gaussians(
        means=uniform * torch.tensor([14.0, 12.0, 4.0]) - torch.tensor([2.0, 6.0, 0.5]),
        scales=0.1 + 0.8 * torch.rand(count, 3, generator=generator),
        quats=torch.nn.functional.normalize(torch.randn(count, 4, generator=generator), dim=-1),
        opacities=torch.rand(count, generator=generator),
        logits=torch.randn(count, classes, generator=generator),
        features=torch.zeros(count, 1),
    )


def front_view(size: tuple[int, int] = SIZE) -> RenderViews:
    return views_of(make_rig(1), size)


def by_pixel(gaussians: Gaussians, views: RenderViews, view: int) -> torch.Tensor:
    """[h, w, K + 2] by looping over pixels and Gaussians, in float64, from the textbook formula."""
    pose, matrix = views.cam_from_ego[view].double(), views.intrinsics[view].double()
    points = transform_points(pose, gaussians.means.double())
    covariances = pose[:3, :3] @ gaussians.covariances().double() @ pose[:3, :3].T
    fx, fy, cx, cy = (float(matrix[i]) for i in ((0, 0), (1, 1), (0, 2), (1, 2)))
    height, width = views.size
    image = torch.zeros(height, width, gaussians.logits.shape[1] + 2, dtype=torch.float64)
    drawn = []
    for index in points[:, 2].argsort().tolist():
        x, y, z = points[index].tolist()
        if z <= 0.01:
            continue
        u = min(max(x / z, -cx / fx - 0.15 * width / fx), (width - cx) / fx + 0.15 * width / fx)
        v = min(max(y / z, -cy / fy - 0.15 * height / fy), (height - cy) / fy + 0.15 * height / fy)
        jacobian = torch.tensor([[fx / z, 0, -fx * u / z], [0, fy / z, -fy * v / z]]).double()
        inverse = (jacobian @ covariances[index] @ jacobian.T + 0.3 * torch.eye(2)).inverse()
        value = torch.cat([gaussians.logits[index].double(), torch.tensor([z, 1.0])])
        center = torch.tensor([fx * x / z + cx, fy * y / z + cy]).double()
        drawn.append((center, inverse, float(gaussians.opacities[index]), value))
    for row in range(height):
        for column in range(width):
            light = 1.0
            for center, inverse, opacity, value in drawn:
                away = torch.tensor([column + 0.5, row + 0.5]).double() - center
                alpha = min(0.999, opacity * float(torch.exp(-0.5 * away @ inverse @ away)))
                if alpha < 1 / 255:
                    continue
                if light * (1 - alpha) <= 1e-4:
                    break
                image[row, column] += light * alpha * value
                light *= 1 - alpha
    return image


@pytest.mark.parametrize("seed", [0, 1])
def test_equals_the_formula_pixel_by_pixel(seed: int) -> None:
    gaussians, views = scene(seed=seed), front_view()
    rendered = render_views(gaussians, views, "reference")
    expected = by_pixel(gaussians, views, 0)
    assert float(expected[..., -1].mean()) > 0.1
    assert torch.allclose(rendered.logits[0].double(), expected[..., :-2], atol=1e-4)
    assert torch.allclose(rendered.depth[0].double(), expected[..., -2], atol=1e-3)
    assert torch.allclose(rendered.alpha[0].double(), expected[..., -1], atol=1e-4)


def test_a_near_opaque_gaussian_hides_a_far_one() -> None:
    gaussians = scene(2)
    gaussians = replace(
        gaussians,
        means=torch.tensor([[20.0, 0.0, 1.5], [8.0, 0.0, 1.5]]),
        scales=torch.full((2, 3), 0.9),
        opacities=torch.tensor([1.0, 1.0]),
        logits=torch.tensor([[1.0, 0, 0], [0, 1.0, 0]]),
    )
    rendered = render(gaussians, make_rig(1), SIZE, "reference")
    center = rendered.logits[0, SIZE[0] // 2, SIZE[1] // 2]
    assert float(center[1]) > 0.95
    assert float(center[0]) < 0.03
    depth = float(rendered.depth[0, SIZE[0] // 2, SIZE[1] // 2])
    assert depth == pytest.approx(8.0, rel=0.06)


def test_depth_is_accumulated_not_normalised() -> None:
    gaussians = replace(
        scene(1),
        means=torch.tensor([[10.0, 0.0, 1.5]]),
        scales=torch.full((1, 3), 3.0),
        opacities=torch.tensor([0.3]),
    )
    rendered = render(gaussians, make_rig(1), SIZE, "reference")
    ratio = rendered.depth / rendered.alpha.clamp(min=1e-6)
    seen = rendered.alpha > 0.05
    assert float(rendered.depth.max()) == pytest.approx(3.0, rel=0.02)
    assert torch.allclose(ratio[seen], torch.tensor(10.0))


def test_gradients_are_right() -> None:
    gaussians, views = scene(6, seed=3), front_view((9, 16))

    def run(
        means: torch.Tensor,
        scales: torch.Tensor,
        quats: torch.Tensor,
        opacities: torch.Tensor,
        logits: torch.Tensor,
    ) -> torch.Tensor:
        rendered = render_views(
            Gaussians(means, scales, quats, opacities, logits, gaussians.features),
            views,
            "reference",
        )
        weight = torch.linspace(0.5, 1.5, rendered.depth.numel()).view_as(rendered.depth)
        per_class = torch.tensor([1.0, -2.0, 0.5])
        return ((rendered.logits @ per_class) * weight).sum() + (rendered.depth * weight).sum()

    inputs = [
        getattr(gaussians, name).clone()
        for name in ("means", "scales", "quats", "opacities", "logits")
    ]
    leaves = [tensor.requires_grad_() for tensor in inputs]
    analytic = torch.autograd.grad(run(*leaves), leaves)
    generator = torch.Generator().manual_seed(0)
    for index, gradient in enumerate(analytic):
        direction = torch.randn(gradient.shape, generator=generator)
        direction /= direction.norm()
        step = 2e-3
        shifted = [
            run(
                *[
                    leaf + sign * step * direction if i == index else leaf
                    for i, leaf in enumerate(leaves)
                ]
            )
            for sign in (1, -1)
        ]
        numeric = float((shifted[0] - shifted[1]).detach()) / (2 * step)
        assert float((gradient * direction).sum()) == pytest.approx(numeric, rel=0.05, abs=0.05)


def test_a_batch_equals_its_items() -> None:
    views = front_view()
    scenes = [scene(seed=seed) for seed in (1, 2)]
    batched = Gaussians(
        *(torch.stack([getattr(s, f.name) for s in scenes]) for f in fields(Gaussians))
    )
    both = RenderViews(
        views.cam_from_ego.expand(2, -1, -1, -1), views.intrinsics.expand(2, -1, -1, -1), views.size
    )
    rendered = render_views(batched, both, "reference")
    for index, one in enumerate(scenes):
        alone = render_views(one, views, "reference")
        assert torch.equal(rendered.logits[index], alone.logits)
        assert torch.equal(rendered.depth[index], alone.depth)


def test_nothing_in_view_renders_empty_images_with_gradients() -> None:
    gaussians = replace(scene(5), means=torch.full((5, 3), -50.0).requires_grad_())
    rendered = render(gaussians, make_rig(1), SIZE, "reference")
    assert float(rendered.alpha.detach().sum()) == 0
    rendered.logits.sum().backward()
    assert gaussians.means.grad is not None


def test_the_raster_sits_on_the_image_as_the_networks_input_does() -> None:
    rig = make_rig(1, (900, 1600))
    views = views_of(rig, (256, 704))
    point = torch.tensor([[12.0, 3.0, 0.5]])
    full = transform_points(invert_transform(camera_pose(0)), point) @ rig.intrinsics[0].T
    raster = transform_points(views.cam_from_ego[0], point) @ views.intrinsics[0].T
    full, raster = full[0, :2] / full[0, 2], raster[0, :2] / raster[0, 2]
    assert raster.tolist() == pytest.approx(
        (full * 0.44 - torch.tensor([0.0, 140.0])).tolist(), abs=1e-3
    )


def test_bad_arguments_are_named() -> None:
    gaussians, views = scene(3), front_view()
    with pytest.raises(ValueError, match=r"backend must be .*, got 'opengl'"):
        render_views(gaussians, views, "opengl")  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="backend 'gsplat' cannot run: it renders on a CUDA"):
        render_views(gaussians, views, "gsplat")
    with pytest.raises(ValueError, match="same leading dimensions"):
        render_views(gaussians, RenderViews(views.cam_from_ego[None], views.intrinsics[None], SIZE))
