"""Gaussians to camera images of class logits and depth, differentiably: the training signal."""

from gfocc_core.renderer.api import Rendered, RendererBackend, RenderViews, render, render_views

__all__ = ["RenderViews", "Rendered", "RendererBackend", "render", "render_views"]
