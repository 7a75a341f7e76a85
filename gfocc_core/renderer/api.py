"""The one way to render: picks the backend, flattens batches."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Literal

import torch

from gfocc_core.config import ImageConfig
from gfocc_core.gaussians import Gaussians
from gfocc_core.geometry import CameraRig, invert_transform
from gfocc_core.preprocess import place_image
from gfocc_core.renderer.gsplat_backend import gsplat_unusable, render_gsplat
from gfocc_core.renderer.reference import render_reference
from gfocc_core.renderer.views import Rendered, RenderViews

__all__ = ["RenderViews", "Rendered", "RendererBackend", "render", "render_views"]

RendererBackend = Literal["auto", "reference", "gsplat"]


def render(
    gaussians: Gaussians,
    rig: CameraRig,
    image_size: tuple[int, int],
    backend: RendererBackend = "auto",
) -> Rendered:
    """Render unbatched Gaussians into every camera of a rig.

    Args:
        gaussians: [N] in the rig's ego frame.
        rig: cameras with the calibration of their full-size images.
        image_size: (height, width) of the raster, placed on the image as
            `preprocess.place_image` does (scaled to cover, bottom rows kept).
    """
    return render_views(gaussians, views_of(rig, image_size), backend)


def views_of(rig: CameraRig, image_size: tuple[int, int]) -> RenderViews:
    """The rig's cameras at a raster's size: intrinsics scaled and shifted as the image is."""
    intrinsics = rig.intrinsics.float().clone()
    config = ImageConfig(height=image_size[0], width=image_size[1])
    for index, size in enumerate(rig.image_sizes):
        placement = place_image(size, config)
        intrinsics[index, :2] *= placement.scale
        intrinsics[index, 0, 2] -= placement.left
        intrinsics[index, 1, 2] -= placement.top
    return RenderViews(invert_transform(rig.ego_from_cam.float()), intrinsics, image_size)


def render_views(
    gaussians: Gaussians, views: RenderViews, backend: RendererBackend = "auto"
) -> Rendered:
    """Render Gaussians [..., N] into views [..., V] of the same leading dimensions.

    Alpha-blended EWA splatting (Zwicker et al., EWA Splatting, TVCG 2002; Kerbl et al.,
    SIGGRAPH 2023) in float32, whatever the inputs' precision. "auto" takes gsplat on a GPU
    where it is installed, else the reference.

    Raises:
        ValueError: unknown backend, or leading dimensions that differ.
        RuntimeError: backend "gsplat" that cannot run; says why.
    """
    if backend not in ("auto", "reference", "gsplat"):
        raise ValueError(f"backend must be 'auto', 'reference' or 'gsplat', got '{backend}'")
    leading = gaussians.means.shape[:-2]
    if views.cam_from_ego.shape[:-3] != leading:
        raise ValueError(
            f"views and Gaussians must have the same leading dimensions, got "
            f"{list(views.cam_from_ego.shape[:-3])} and {list(leading)}"
        )
    problem = gsplat_unusable(gaussians.means.device)
    if backend == "gsplat" and problem:
        raise RuntimeError(f"backend 'gsplat' cannot run: {problem}")
    if backend != "reference" and not problem:
        return render_gsplat(gaussians, views)
    if not leading:
        return render_reference(gaussians, views)
    flat = _flatten(gaussians, len(leading))
    poses = views.cam_from_ego.flatten(0, len(leading) - 1)
    intrinsics = views.intrinsics.flatten(0, len(leading) - 1)
    items = [
        render_reference(flat.item(index), RenderViews(pose, matrix, views.size))
        for index, (pose, matrix) in enumerate(zip(poses, intrinsics, strict=True))
    ]
    return Rendered(
        *(
            torch.stack([getattr(item, field.name) for item in items]).unflatten(0, leading)
            for field in fields(Rendered)
        )
    )


def _flatten(gaussians: Gaussians, count: int) -> Gaussians:
    """The first `count` dimensions made one."""
    return replace(
        gaussians,
        **{f.name: getattr(gaussians, f.name).flatten(0, count - 1) for f in fields(gaussians)},
    )
