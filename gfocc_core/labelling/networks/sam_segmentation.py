"""Boxes to masks through a SAM: images encoded once, together; boxes in batches per image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from gfocc_core.labelling.networks.image_sizes import normalised, size_for_longest_side
from gfocc_core.labelling.networks.options import positive_integer

_IMAGES_ON_GPU, _IMAGES_ON_CPU = 8, 1


class SamNetwork(Protocol):
    """A SAM, cut between its image encoder and the rest."""

    @property
    def side(self) -> int:
        """Pixels of the square that it wants images on."""

    def encode(self, pixels: Tensor) -> Tensor:
        """Normalised images [B, 3, side, side] -> float32 embeddings [B, c, h, w]."""

    def masks(self, embedding: Tensor, boxes: Tensor) -> Tensor:
        """One mask per box.

        Args:
            embedding: [1, c, h, w]
            boxes: float32 [D, 4] left, top, right, bottom in pixels of the square, D >= 1.

        Returns:
            Logits [D, h', w'] of the whole square.
        """


@dataclass(frozen=True)
class _Encoded:
    """One image's embedding and where the image lies on the square: in its upper left corner."""

    embedding: Tensor
    image_size: tuple[int, int]
    size: tuple[int, int]
    """(height, width) on the square."""


class SamSegmenter:
    """A BoxSegmenter around a SamNetwork."""

    def __init__(
        self, network: SamNetwork, name: str, device: torch.device, batch: str, boxes: str
    ) -> None:
        """Args: batch: images per pass, may be empty; boxes: per pass of the mask decoder."""
        self._network, self.name, self._device = network, name, device
        default = _IMAGES_ON_CPU if device.type == "cpu" else _IMAGES_ON_GPU
        self._batch = positive_integer("batch", batch) if batch else default
        self._boxes = positive_integer("boxes", boxes)

    @torch.inference_mode()
    def encode(self, images: Sequence[Tensor]) -> list[_Encoded]:
        """See BoxSegmenter."""
        encoded: list[_Encoded] = []
        for start in range(0, len(images), self._batch):
            chunk = images[start : start + self._batch]
            side = self._network.side
            sizes = [size_for_longest_side(len(image), image.shape[1], side) for image in chunk]
            pixels = [self._square(image, size) for image, size in zip(chunk, sizes, strict=True)]
            embeddings = self._network.encode(torch.stack(pixels))
            encoded += [
                _Encoded(embedding[None], (image.shape[0], image.shape[1]), size)
                for embedding, image, size in zip(embeddings, chunk, sizes, strict=True)
            ]
        return encoded

    @torch.inference_mode()
    def segment(self, features: Any, boxes: Sequence[Tensor]) -> Sequence[Tensor]:
        """Per image float32 [D, h, w] logits; see BoxSegmenter."""
        return [self._segment(one, wanted) for one, wanted in zip(features, boxes, strict=True)]

    def _segment(self, encoded: _Encoded, boxes: Tensor) -> Tensor:
        if not len(boxes):
            return torch.zeros(0, 1, 1, device=boxes.device)
        (height, width), (rows, columns) = encoded.image_size, encoded.size
        scale = boxes.new_tensor([columns / width, rows / height] * 2)
        parts = (boxes.float() * scale).to(encoded.embedding.device).split(self._boxes)
        logits = torch.cat([self._network.masks(encoded.embedding, part) for part in parts])
        return part_of_square(logits.float(), encoded.size, self._network.side)

    def _square(self, image: Tensor, size: tuple[int, int]) -> Tensor:
        side = self._network.side
        pixels = normalised(image, size)
        return F.pad(pixels, (0, side - size[1], 0, side - size[0]))


def part_of_square(logits: Tensor, size: tuple[int, int], side: int) -> Tensor:
    """The part that the image covers, at the logits' own resolution.

    Args:
        logits: [D, h, w] of a square with sides of `side` pixels.
        size: (height, width) of the image in its upper left corner.
        side: In the same pixels.

    Returns:
        [D, h', w'], stretched over the image alone.
    """
    share_y, share_x = size[0] / side, size[1] / side
    shape = [
        max(1, round(share * length))
        for share, length in zip((share_y, share_x), logits.shape[1:], strict=True)
    ]
    to_square = logits.new_tensor([[share_x, 0, share_x - 1], [0, share_y, share_y - 1]])
    grid = F.affine_grid(to_square[None], [1, 1, *shape], align_corners=False)
    return F.grid_sample(
        logits[None], grid, mode="bilinear", padding_mode="border", align_corners=False
    )[0]
