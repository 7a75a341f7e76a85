"""From a network's depth to labels on the raster, and section 8's canonical camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from gfocc_core.data.weak_labels import LabelGeometry
from gfocc_core.labelling.protocols import DepthNetwork, LabellingError
from gfocc_core.labelling.raster import bilinear_on_raster

MAX_DEPTH = 300.0
"""Metres; what a network says to be farther is put here."""

_ROUNDING = 1e-6  # 1600 * (1064 / 1600) is a little less than 1064 for some sizes


class NetworkDepth:
    """A KeyframeLabeller around a DepthNetwork: clamps to 0 to 300 m and resizes.

    What is no number or infinite becomes no label (0).
    """

    kind = "depth"

    def __init__(self, network: DepthNetwork, device: torch.device) -> None:
        self._network, self._device = network, device

    @property
    def name(self) -> str:
        return self._network.name

    def label(
        self, images: Sequence[Tensor], geometry: LabelGeometry, intrinsics: Tensor
    ) -> Tensor:
        """float32 [C, h, w] metres; see KeyframeLabeller."""
        with torch.inference_mode():
            there = [image.to(self._device, non_blocking=True) for image in images]
            maps = self._network.estimate(there, intrinsics)
            if len(maps) != len(images):
                raise LabellingError(
                    f"{len(images)} images need as many depth maps, got {len(maps)}"
                )
            raster = (geometry.height, geometry.width)
            rows = []
            for metres, camera in zip(maps, geometry.cameras, strict=True):
                bounded = metres.float().clamp(0, MAX_DEPTH)
                usable = torch.where(metres.isfinite(), bounded, torch.nan)
                rows.append(bilinear_on_raster(usable[None], camera, raster)[0])
            return torch.stack(rows).nan_to_num(0.0).cpu()

    def remarks(self) -> Sequence[str]:
        """Nothing."""
        return ()


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
        placed = [_Place.of(image.shape[0], image.shape[1], self._camera) for image in images]
        pixels = torch.stack([self._place(*pair) for pair in zip(images, placed, strict=True)])
        canonical = self._network.predict(pixels)
        if canonical.shape != (len(images), *pixels.shape[2:]):
            raise LabellingError(
                f"{self.name} must return {[len(images), *pixels.shape[2:]]}, "
                f"got {list(canonical.shape)}"
            )
        metres = []
        for depth, place, matrix in zip(canonical.float(), placed, intrinsics, strict=True):
            rows = slice(place.top, place.top + place.height)
            columns = slice(place.left, place.left + place.width)
            factor = float(matrix[0, 0]) * place.scale / self._camera.focal
            metres.append(depth[rows, columns] * factor)
        return metres

    def _place(self, image: Tensor, place: _Place) -> Tensor:
        """float32 [3, height, width]: scaled, normalised, padded with the mean colour (zeros)."""
        camera = self._camera
        mean = torch.tensor(camera.mean, device=image.device).view(3, 1, 1)
        std = torch.tensor(camera.std, device=image.device).view(3, 1, 1)
        full = image.permute(2, 0, 1)[None].float()
        size = (place.height, place.width)
        small = F.interpolate(full, size, mode="bilinear", align_corners=False)[0]
        right = camera.width - place.width - place.left
        bottom = camera.height - place.height - place.top
        return F.pad((small - mean) / std, (place.left, right, place.top, bottom))


@dataclass(frozen=True)
class _Place:
    """An image on the canonical canvas: scaled by `scale`, its aspect kept, in the middle."""

    scale: float
    height: int
    width: int
    left: int
    top: int

    @classmethod
    def of(cls, height: int, width: int, camera: CanonicalCamera) -> _Place:
        scale = min(camera.height / height, camera.width / width)
        rows, columns = (max(1, int(size * scale + _ROUNDING)) for size in (height, width))
        return cls(scale, rows, columns, (camera.width - columns) // 2, (camera.height - rows) // 2)
