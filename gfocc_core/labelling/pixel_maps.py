"""What labellers around networks have in common: a map per image comes back to the raster."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from gfocc_core.data.weak_labels import CameraRaster, LabelGeometry
from gfocc_core.labelling.protocols import LabellingError


class PixelMapLabeller(ABC):
    """A KeyframeLabeller around a network that says something of every pixel."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def label(
        self, images: Sequence[Tensor], geometry: LabelGeometry, intrinsics: Tensor
    ) -> Tensor:
        """See KeyframeLabeller."""
        with torch.inference_mode():
            maps = self._maps(on_device(images, self._device), intrinsics)
            require_one_each("maps", maps, images)
            raster = (geometry.height, geometry.width)
            rows = [
                self._on_raster(found, camera, raster)
                for found, camera in zip(maps, geometry.cameras, strict=True)
            ]
            return self._labels(torch.stack(rows)).cpu()

    def remarks(self) -> Sequence[str]:
        """Nothing."""
        return ()

    @abstractmethod
    def _maps(self, images: Sequence[Tensor], intrinsics: Tensor) -> Sequence[Tensor]:
        """The network's [h, w] per image."""

    @abstractmethod
    def _on_raster(self, found: Tensor, camera: CameraRaster, raster: tuple[int, int]) -> Tensor:
        """[h, w] of a whole image -> [height, width] of the raster."""

    @abstractmethod
    def _labels(self, rows: Tensor) -> Tensor:
        """[C, height, width] of the raster -> labels of the right type."""


def on_device(images: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """The images on the labeller's device."""
    return [image.to(device, non_blocking=True) for image in images]


def require_one_each(what: str, given: Sequence[object], images: Sequence[Tensor]) -> None:
    """Raise LabellingError where a model did not return one thing per image."""
    if len(given) != len(images):
        raise LabellingError(f"{len(images)} images need as many {what}, got {len(given)}")
