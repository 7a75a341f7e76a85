"""Rendering on the GPU through gsplat; nothing else imports gsplat."""

from __future__ import annotations

import importlib.util

import torch

from gfocc_core.gaussians import Gaussians
from gfocc_core.renderer.views import Rendered, RenderViews


def gsplat_unusable(device: torch.device) -> str | None:
    """Why gsplat cannot render on a device, or None if it can."""
    if device.type != "cuda":
        return f"it renders on a CUDA device, the Gaussians are on '{device}'"
    if importlib.util.find_spec("gsplat") is None:
        return "package gsplat is not installed"
    return None


def render_gsplat(gaussians: Gaussians, views: RenderViews) -> Rendered:
    """As `render_views`, leading dimensions included."""
    from gsplat import rasterization

    height, width = views.size
    colors, alphas, _ = rasterization(
        means=gaussians.means.float(),
        quats=gaussians.quats.float(),
        scales=gaussians.scales.float(),
        opacities=gaussians.opacities.float(),
        colors=gaussians.logits.float(),
        viewmats=views.cam_from_ego.float(),
        Ks=views.intrinsics.float(),
        width=width,
        height=height,
        render_mode="RGB+D",
        packed=False,
    )
    return Rendered(colors[..., :-1], colors[..., -1], alphas.squeeze(-1))
