"""Plain-torch renderer: states what the GPU one computes; runs anywhere, differentiable.

Lists every (Gaussian, pixel) pair that matters, sorts the pairs of a pixel by depth and
blends them. Memory grows with the pairs, so it is for tests and small rasters.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gfocc_core.gaussians import Gaussians
from gfocc_core.geometry import transform_points
from gfocc_core.renderer.views import Rendered, RenderViews

NEAR_PLANE = 0.01
"""Gaussians nearer to the image plane than this (metres) are not drawn."""
BLUR = 0.3
"""Added to the projected covariance (square pixels): no Gaussian is thinner than a pixel."""
MIN_ALPHA = 1 / 255
"""Fainter contributions are skipped."""
MAX_ALPHA = 0.999
MIN_TRANSMITTANCE = 1e-4
"""A pixel is finished before the Gaussian that would let less than this through."""
FIELD_MARGIN = 0.3
"""Beyond the view by more than this share of it, the Jacobian is taken at that limit."""


class _Splats(NamedTuple):
    """Gaussians of one view that may reach its raster, near to far."""

    centers: Tensor
    """[M, 2] pixels."""
    inverse_covariances: Tensor
    """[M, 2, 2]"""
    reach: Tensor
    """[M, 2] pixels to either side where alpha may exceed MIN_ALPHA."""
    opacities: Tensor
    """[M]"""
    values: Tensor
    """[M, K + 2]: logits, depth, 1."""


def render_reference(gaussians: Gaussians, views: RenderViews) -> Rendered:
    """Unbatched Gaussians [N] into views [V]."""
    planes = [
        _blend(_project(gaussians, pose.float(), matrix.float(), views.size), views.size)
        for pose, matrix in zip(views.cam_from_ego, views.intrinsics, strict=True)
    ]
    images = torch.stack(planes)
    return Rendered(images[..., :-2], images[..., -2], images[..., -1])


def _project(
    gaussians: Gaussians, cam_from_ego: Tensor, intrinsics: Tensor, size: tuple[int, int]
) -> _Splats:
    in_camera = transform_points(cam_from_ego, gaussians.means.float())
    order = in_camera[:, 2].detach().argsort(stable=True)
    order = order[
        (in_camera[order, 2] > NEAR_PLANE) & (gaussians.opacities[order].detach() >= MIN_ALPHA)
    ]
    points = in_camera[order]
    depth = points[:, 2:]
    focal, principal = intrinsics.diagonal()[:2], intrinsics[:2, 2]
    centers = points[:, :2] / depth * focal + principal
    covariances = _project_covariances(
        gaussians.covariances()[order].float(), cam_from_ego[:3, :3], points, intrinsics, size
    )
    opacities = gaussians.opacities[order].float()
    extent = (2 * (opacities.detach() / MIN_ALPHA).log()).clamp(min=0).sqrt()
    reach = extent.unsqueeze(-1) * covariances.detach().diagonal(dim1=-2, dim2=-1).sqrt()
    logits = gaussians.logits[order].float()
    values = torch.cat([logits, depth, torch.ones_like(depth)], -1)
    return _Splats(centers, torch.linalg.inv(covariances), reach, opacities, values)


def _project_covariances(
    covariances: Tensor,
    rotation: Tensor,
    points: Tensor,
    intrinsics: Tensor,
    size: tuple[int, int],
) -> Tensor:
    """[M, 2, 2] `J W S W^T J^T + BLUR`, the local affine approximation of the projection."""
    focal, principal = intrinsics.diagonal()[:2], intrinsics[:2, 2]
    extent = torch.tensor([size[1], size[0]], device=points.device, dtype=points.dtype)
    margin = FIELD_MARGIN * 0.5 * extent / focal
    depth = points[:, 2:]
    slope = points[:, :2] / depth
    slope = torch.minimum(slope, (extent - principal) / focal + margin)
    slope = torch.maximum(slope, -principal / focal - margin)
    jacobian = torch.zeros(len(points), 2, 3, device=points.device, dtype=points.dtype)
    jacobian[:, 0, 0] = focal[0] / depth[:, 0]
    jacobian[:, 1, 1] = focal[1] / depth[:, 0]
    jacobian[:, :, 2] = -focal * slope / depth
    map_2d = jacobian @ rotation
    blur = BLUR * torch.eye(2, device=points.device, dtype=points.dtype)
    return map_2d @ covariances @ map_2d.transpose(-1, -2) + blur


def _blend(splats: _Splats, size: tuple[int, int]) -> Tensor:
    """One view's image [height, width, K + 2]."""
    height, width = size
    with torch.no_grad():
        owner, pixel = _contributions(splats, size)
    alpha = _alpha(splats, owner, pixel, width)
    weight = alpha * _transmittance(alpha, pixel)
    image = torch.zeros(height * width, splats.values.shape[1], device=alpha.device)
    image = image.index_add(0, pixel, weight.unsqueeze(-1) * splats.values[owner])
    return image.view(height, width, -1)


def _contributions(splats: _Splats, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The (splat, flat pixel) pairs that count, sorted by pixel, then near to far."""
    owner, pixel = _pairs(splats, size)
    alpha = _alpha(splats, owner, pixel, size[1])
    kept = (alpha >= MIN_ALPHA).nonzero().squeeze(-1)
    # pairs come near to far; a stable sort by pixel keeps that order within each pixel
    pixel, order = pixel[kept].sort(stable=True)
    owner, alpha = owner[kept][order], alpha[kept][order]
    reaches = _transmittance(alpha, pixel) * (1 - alpha) > MIN_TRANSMITTANCE
    return owner[reaches], pixel[reaches]


def _alpha(splats: _Splats, owner: Tensor, pixel: Tensor, width: int) -> Tensor:
    """Opacity of each pair's splat at the centre of its pixel."""
    inverse = splats.inverse_covariances.flatten(1)
    a, b, _, d, x, y, opacity = torch.cat(
        [inverse, splats.centers, splats.opacities.unsqueeze(-1)], -1
    )[owner].unbind(-1)
    dx, dy = pixel % width + 0.5 - x, pixel // width + 0.5 - y
    exponent = a * dx * dx + 2 * b * dx * dy + d * dy * dy
    return (opacity * torch.exp(-0.5 * exponent)).clamp(max=MAX_ALPHA)


def _pairs(splats: _Splats, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Every (splat, flat pixel) pair within the splats' boxes, splats near to far."""
    limit = torch.tensor([size[1], size[0]], device=splats.centers.device)
    centers = splats.centers.detach()
    first = torch.minimum((centers - splats.reach).floor().clamp(min=0), limit).long()
    last = torch.minimum((centers + splats.reach).ceil().clamp(min=0), limit).long()
    extent = last - first
    counts = extent.prod(-1)
    owner = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
    start = counts.cumsum(0) - counts
    within = torch.arange(len(owner), device=counts.device) - start[owner]
    columns = extent[owner, 0]
    x = first[owner, 0] + within % columns
    y = first[owner, 1] + within // columns
    return owner, y * size[1] + x


def _transmittance(alpha: Tensor, pixel: Tensor) -> Tensor:
    """Light that reaches each pair; pairs sorted by pixel, then near to far."""
    logs = torch.log1p(-alpha.double())
    before = logs.cumsum(0) - logs
    starts = torch.ones_like(pixel, dtype=torch.bool)
    starts[1:] = pixel[1:] != pixel[:-1]
    segment = starts.long().cumsum(0) - 1
    return (before - before[starts][segment]).exp().to(alpha)
