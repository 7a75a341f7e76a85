"""Section 8's canonical camera: networks such as Metric3D see every image with one focal length.

An image is scaled, aspect kept, onto the middle of a canvas; what the network says there are metres
for the canonical focal length, and become true ones by the image's own, scaled as the image was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from gfocc_core.labelling.protocols import LabellingError

_ROUNDING = 1e-6  # 1600 * (1064 / 1600) is a little less than 1064 for some sizes


class CanonicalNetwork(Protocol):
    """A network that sees every image as if one focal length had taken it, such as Metric3D."""

    @property
    def name(self) -> str: ...

    def predict(self, pixels: Tensor) -> Tensor:
        """Normalised float32 [B, 3, h, w] -> canonical depth [B, h, w]."""


@dataclass(frozen=True)
class CanonicalCamera:
    """What a CanonicalNetwork wants to see; the defaults are Metric3D v2's for its ViTs."""

    height: int = 616
    width: int = 1064
    focal: float = 1000.0
    """Pixels."""
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)

    def __post_init__(self) -> None:
        for name in ("height", "width", "focal"):
            if not getattr(self, name) > 0:
                raise LabellingError(f"{name} must be positive, got {getattr(self, name)}")


@dataclass(frozen=True)
class CanvasPlace:
    """An image on the canvas: scaled by `scale` to height x width, in the middle."""

    scale: float
    height: int
    width: int
    left: int
    top: int

    @classmethod
    def of(cls, height: int, width: int, camera: CanonicalCamera) -> CanvasPlace:
        """Where an image of this size belongs."""
        scale = min(camera.height / height, camera.width / width)
        rows, columns = (max(1, int(size * scale + _ROUNDING)) for size in (height, width))
        return cls(scale, rows, columns, (camera.width - columns) // 2, (camera.height - rows) // 2)


def to_canvas(image: Tensor, place: CanvasPlace, camera: CanonicalCamera) -> Tensor:
    """uint8 [H, W, 3] -> float32 [3, h, w] of the canvas, normalised; around it the mean colour."""
    mean, std = (
        torch.tensor(colours, device=image.device).view(3, 1, 1)
        for colours in (camera.mean, camera.std)
    )
    full = image.permute(2, 0, 1)[None].float()
    size = (place.height, place.width)
    small = F.interpolate(full, size, mode="bilinear", align_corners=False)[0]
    right = camera.width - place.width - place.left
    bottom = camera.height - place.height - place.top
    return F.pad((small - mean) / std, (place.left, right, place.top, bottom))


def metres_of(
    canonical: Tensor, place: CanvasPlace, focal: float, camera: CanonicalCamera
) -> Tensor:
    """Canonical depth [h, w] of the canvas -> metres [place.height, place.width], no padding.

    Args:
        canonical: What the network said.
        place: Of the image.
        focal: fx of the full-size image in pixels.
        camera: The canonical one.
    """
    rows = slice(place.top, place.top + place.height)
    columns = slice(place.left, place.left + place.width)
    return canonical[rows, columns].float() * (focal * place.scale / camera.focal)


class CanonicalDepth:
    """A DepthNetwork around a CanonicalNetwork; all images of a keyframe are one batch."""

    def __init__(
        self, network: CanonicalNetwork, camera: CanonicalCamera = CanonicalCamera()
    ) -> None:
        self._network, self._camera = network, camera

    @property
    def name(self) -> str:
        return self._network.name

    def estimate(self, images: Sequence[Tensor], intrinsics: Tensor) -> Sequence[Tensor]:
        """Metres [h, w] at the size that the network saw, without the padding."""
        camera = self._camera
        places = [CanvasPlace.of(image.shape[0], image.shape[1], camera) for image in images]
        pixels = torch.stack(
            [to_canvas(image, place, camera) for image, place in zip(images, places, strict=True)]
        )
        canonical = self._network.predict(pixels)
        if canonical.shape != (len(images), *pixels.shape[2:]):
            raise LabellingError(
                f"{self.name} must return {[len(images), *pixels.shape[2:]]}, "
                f"got {list(canonical.shape)}"
            )
        return [
            metres_of(depth, place, float(matrix[0, 0]), camera)
            for depth, place, matrix in zip(canonical, places, intrinsics, strict=True)
        ]
