"""Antialiased bilinear resize, crop and normalisation of all cameras at once, from uint8.

The same map as `preprocess`, as sums of a few weighted source rows and columns per output pixel.
Computed by the reference here or by the Triton kernel of resize_triton.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gfocc_core.config import ImageConfig
from gfocc_core.preprocess import place_image
from gfocc_core.triton_support import triton_unusable


@dataclass(frozen=True)
class AxisTaps:
    """Which source pixels an output pixel of one axis is made of."""

    first: Tensor
    """int32 [..., out]: the first of `taps` consecutive source pixels."""
    weights: Tensor
    """float32 [..., taps, out], summing up to 1 over the taps; taps past the border weigh 0."""

    @property
    def taps(self) -> int:
        return self.weights.shape[-2]

    def to(self, device: torch.device) -> AxisTaps:
        return AxisTaps(self.first.to(device), self.weights.to(device))


def axis_taps(source: int, resized: int, begin: int, count: int) -> AxisTaps:
    """Taps of the output pixels begin to begin + count of an axis scaled to `resized` pixels."""
    scale = source / resized
    reach = max(scale, 1.0)
    centers = scale * (torch.arange(begin, begin + count, dtype=torch.float64) + 0.5)
    first = (centers - reach + 0.5).floor().clamp(min=0)
    last = (centers + reach + 0.5).floor().clamp(max=source)
    index = first + torch.arange(int((last - first).max())).unsqueeze(1)
    weights = (1 - ((index + 0.5 - centers) / reach).abs()).clamp(min=0) * (index < last)
    return AxisTaps(first.int(), (weights / weights.sum(0)).float())


@dataclass(frozen=True)
class ResizePlan:
    """How the cameras of a rig fill the network's input."""

    first_rows: tuple[int, ...]
    """Per camera the first image row that the crop keeps; taps count rows from there."""
    rows: AxisTaps
    """[cameras, height]"""
    columns: AxisTaps
    """[cameras, width]"""
    image: ImageConfig

    def to(self, device: torch.device) -> ResizePlan:
        return ResizePlan(
            self.first_rows, self.rows.to(device), self.columns.to(device), self.image
        )


def plan_resize(sizes: tuple[tuple[int, int], ...], image: ImageConfig) -> ResizePlan:
    """The plan for cameras of (height, width) pixels."""
    rows, columns, first_rows = [], [], []
    for height, width in sizes:
        place = place_image((height, width), image)
        down = axis_taps(height, place.resized[0], place.top, image.height)
        first_rows.append(int(down.first.min()))
        rows.append(AxisTaps(down.first - first_rows[-1], down.weights))
        columns.append(axis_taps(width, place.resized[1], place.left, image.width))
    return ResizePlan(tuple(first_rows), _stack(rows), _stack(columns), image)


def _stack(axes: list[AxisTaps]) -> AxisTaps:
    taps = max(axis.taps for axis in axes)
    padded = [torch.nn.functional.pad(axis.weights, (0, 0, 0, taps - axis.taps)) for axis in axes]
    return AxisTaps(torch.stack([axis.first for axis in axes]), torch.stack(padded))


@dataclass(frozen=True)
class PackedImages:
    """The kept rows of all cameras, one after the other, on one device."""

    pixels: Tensor
    """uint8, flat; some bytes longer than the images, since taps may reach past an image's end."""
    starts: Tensor
    """int64 [cameras]: where each camera's rows begin."""
    sizes: tuple[tuple[int, int], ...]
    """Per camera (kept rows, width)."""
    widths: Tensor
    """int32 [cameras]"""

    def camera(self, index: int) -> Tensor:
        """One camera's rows, uint8 [kept rows, width, 3]; a view."""
        rows, width = self.sizes[index]
        start = sum(3 * height * across for height, across in self.sizes[:index])
        return self.pixels[start : start + rows * width * 3].view(rows, width, 3)


def pack_images(
    sizes: tuple[tuple[int, int], ...], plan: ResizePlan, device: torch.device
) -> PackedImages:
    """Zeros for cameras of (height, width) pixels."""
    kept = tuple(
        (height - first, width)
        for (height, width), first in zip(sizes, plan.first_rows, strict=True)
    )
    lengths = torch.tensor([rows * width * 3 for rows, width in kept])
    widest = max(width for _, width in kept)
    slack = 3 * (plan.rows.taps * widest + plan.columns.taps)
    return PackedImages(
        pixels=torch.zeros(int(lengths.sum()) + slack, dtype=torch.uint8, device=device),
        starts=(lengths.cumsum(0) - lengths).to(device),
        sizes=kept,
        widths=torch.tensor([width for _, width in kept], dtype=torch.int32, device=device),
    )


def resize_images(images: PackedImages, valid: Tensor, plan: ResizePlan, out: Tensor) -> None:
    """Write the network's input; zero where a camera is not valid.

    Takes the Triton kernel where Triton works.

    Args:
        valid: numbers [cameras]; 0: a camera that is missing.
        out: [cameras, height, width, 3] of any floating type.
    """
    if triton_unusable(images.pixels.device):
        resize_reference(images, valid, plan, out)
    else:
        from gfocc_core.inference.resize_triton import resize_triton

        resize_triton(images, valid, plan, out)


def resize_reference(images: PackedImages, valid: Tensor, plan: ResizePlan, out: Tensor) -> None:
    """The same in plain torch."""
    mean = torch.tensor(plan.image.mean, device=out.device)
    std = torch.tensor(plan.image.std, device=out.device)
    inputs = []
    for index in range(len(images.sizes)):
        pixels = images.camera(index).float()
        across = _weigh(pixels.transpose(0, 1), plan.columns, index).transpose(0, 1)
        inputs.append((_weigh(across, plan.rows, index) - mean) / std)
    out.copy_(torch.where(valid.view(-1, 1, 1, 1) != 0, torch.stack(inputs), 0))


def _weigh(pixels: Tensor, axis: AxisTaps, camera: int) -> Tensor:
    """[source, ...] to [out, ...]."""
    reach = torch.arange(axis.taps, device=pixels.device).unsqueeze(1)
    index = (axis.first[camera] + reach).clamp(max=len(pixels) - 1)
    weights = axis.weights[camera].view(*index.shape, *(1,) * (pixels.ndim - 1))
    return (pixels[index] * weights).sum(0)
