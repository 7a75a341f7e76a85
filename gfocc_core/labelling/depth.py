"""From a network's metric depth to labels on the raster."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gfocc_core.data.weak_labels import CameraRaster
from gfocc_core.labelling.pixel_maps import PixelMapLabeller
from gfocc_core.labelling.protocols import DepthNetwork
from gfocc_core.labelling.raster import bilinear_on_raster

MAX_DEPTH = 300.0
"""Metres; what a network says to be farther is put here."""


class NetworkDepth(PixelMapLabeller):
    """A KeyframeLabeller around a DepthNetwork: clamps to 0 to 300 m and resizes.

    What is no number or infinite becomes no label (0). Labels are float32 metres.
    """

    kind = "depth"

    def __init__(self, network: DepthNetwork, device: torch.device) -> None:
        super().__init__(device)
        self._network = network

    @property
    def name(self) -> str:
        return self._network.name

    def _maps(self, images: Sequence[Tensor], intrinsics: Tensor) -> Sequence[Tensor]:
        return self._network.estimate(images, intrinsics)

    def _on_raster(self, found: Tensor, camera: CameraRaster, raster: tuple[int, int]) -> Tensor:
        bounded = found.float().clamp(0, MAX_DEPTH)
        usable = torch.where(found.isfinite(), bounded, torch.nan)
        return bilinear_on_raster(usable[None], camera, raster)[0]

    def _labels(self, rows: Tensor) -> Tensor:
        return rows.nan_to_num(0.0)
