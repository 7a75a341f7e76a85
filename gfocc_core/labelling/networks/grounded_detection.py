"""One query per phrase and image through a grounding network, in batches; thresholds, boxes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from gfocc_core.labelling.networks.image_sizes import normalised, size_for_shorter_side
from gfocc_core.labelling.networks.options import one_of, positive_integer, share
from gfocc_core.labelling.networks.phrase_queries import PhraseQuery, PhraseTokens
from gfocc_core.labelling.protocols import Detections, LabellingError

_STRIDES = (8, 16, 32, 64)
_LONGEST_TO_SHORTER = 1333 / 800
_QUERIES_ON_GPU, _QUERIES_ON_CPU = 16, 2

PRECISIONS = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


class GroundingNetwork(Protocol):
    """A Grounding DINO, cut where its text comes in."""

    @property
    def candidates(self) -> int:
        """N: the boxes that it proposes per query, at most one per cell of its feature maps."""

    def encode(self, pixels: Tensor) -> Any:
        """Features of normalised images [B, 3, h, w], which do not depend on any text."""

    def query(
        self, features: Any, rows: Tensor, captions: Sequence[str], ids: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Look for texts in images.

        Args:
            features: Of encode.
            rows: [Q] which of the images each query is about.
            captions: Q texts.
            ids: [Q, T] their tokens.

        Returns:
            Logits [Q, N, T] per candidate and token, and boxes [Q, N, 4] as centre x, centre y,
            width, height in 0 to 1.
        """


@dataclass(frozen=True)
class GroundingOptions:
    """What changes detections, and how many are made at once."""

    box_threshold: float
    text_threshold: float
    size: int
    """Pixels of the shorter side of resized images."""
    batch: int
    """Queries per pass: pairs of an image and a phrase."""
    precision: torch.dtype

    @classmethod
    def parse(
        cls,
        device: torch.device,
        box_threshold: str = "0.2",
        text_threshold: str = "0.2",
        size: str = "800",
        batch: str = "",
        precision: str = "",
    ) -> GroundingOptions:
        """From a command's words; LabellingError names the option that is wrong.

        Of the halves, float16 moves boxes and scores less than bfloat16 does.
        """
        cpu = device.type == "cpu"
        default = _QUERIES_ON_CPU if cpu else _QUERIES_ON_GPU
        usual = "float32" if cpu else "float16"
        return cls(
            share("box_threshold", box_threshold),
            share("text_threshold", text_threshold),
            positive_integer("size", size),
            positive_integer("batch", batch) if batch else default,
            PRECISIONS[one_of("precision", precision or usual, PRECISIONS)],
        )

    def autocast(self, device: torch.device) -> torch.autocast:
        """The context that networks run in."""
        return torch.autocast(device.type, self.precision, self.precision != torch.float32)

    def __str__(self) -> str:
        return f"size {self.size}, box {self.box_threshold:g}, text {self.text_threshold:g}"


@dataclass(frozen=True)
class _Candidate:
    """A detection before it is sorted by image."""

    image: int
    phrase: int
    box: Tensor
    score: float
    text: str


class GroundedDetector:
    """A PhraseDetector around a GroundingNetwork.

    Images of one size are encoded together, once; padding, which would change what the network
    sees, is never needed.
    """

    def __init__(
        self, network: GroundingNetwork, tokens: PhraseTokens, name: str, options: GroundingOptions
    ) -> None:
        self._network, self._tokens, self._options = network, tokens, options
        self.name = f"{name}, {options}"

    @torch.inference_mode()
    def detect(self, images: Sequence[Tensor], phrases: Sequence[str]) -> Sequence[Detections]:
        """Boxes in the images' pixels, by phrase; see PhraseDetector."""
        groups = self._tokens.groups(phrases)
        sizes: dict[tuple[int, int], list[int]] = {}
        for number, image in enumerate(images):
            sizes.setdefault((image.shape[0], image.shape[1]), []).append(number)
        found: list[_Candidate] = []
        for (height, width), numbers in sizes.items():
            shorter = self._options.size
            longest = round(shorter * _LONGEST_TO_SHORTER)
            small = size_for_shorter_side(height, width, shorter, longest)
            self._check_size(small)
            pixels = torch.stack([normalised(images[number], small) for number in numbers])
            features = self._network.encode(pixels)
            scale = pixels.new_tensor([width, height, width, height])
            for group in groups:
                pairs = [(row, query) for query in group for row in range(len(numbers))]
                for start in range(0, len(pairs), self._options.batch):
                    chunk = pairs[start : start + self._options.batch]
                    found += self._candidates(features, chunk, numbers, scale)
        found.sort(key=lambda candidate: candidate.phrase)
        return [
            _detections([one for one in found if one.image == number], images[number])
            for number in range(len(images))
        ]

    def _check_size(self, size: tuple[int, int]) -> None:
        cells = sum(math.prod(math.ceil(side / stride) for side in size) for stride in _STRIDES)
        if cells < self._network.candidates:
            raise LabellingError(
                f"size {self._options.size} makes images of {size[1]}x{size[0]}: too small for the "
                f"{self._network.candidates} boxes that {self.name} proposes"
            )

    def _candidates(
        self,
        features: Any,
        pairs: Sequence[tuple[int, PhraseQuery]],
        numbers: Sequence[int],
        scale: Tensor,
    ) -> list[_Candidate]:
        """What is above the thresholds for pairs of a row of the features and a query."""
        ids = torch.tensor([query.ids for _, query in pairs], device=scale.device)
        rows = torch.tensor([row for row, _ in pairs], device=scale.device)
        captions = [query.caption for _, query in pairs]
        logits, boxes = self._network.query(features, rows, captions, ids)
        scores = logits.float().sigmoid()
        best = scores.amax(-1)
        if bool(best.isnan().any()):
            raise LabellingError(
                f"{self.name} returned scores that are no numbers in "
                f"{self._options.precision}; precision=float32 has more room"
            )
        which, candidate = (best > self._options.box_threshold).nonzero(as_tuple=True)
        centre, extent = boxes[which, candidate].float().split(2, -1)
        corners = torch.cat([centre - extent / 2, centre + extent / 2], -1) * scale
        matched = (scores[which, candidate] > self._options.text_threshold).tolist()
        texts: dict[tuple[tuple[int, ...], tuple[bool, ...]], str] = {}
        found = []
        for pair, box, score, match in zip(
            which.tolist(), corners.cpu(), best[which, candidate].tolist(), matched, strict=True
        ):
            row, query = pairs[pair]
            key = (query.ids, tuple(match))
            if key not in texts:
                texts[key] = self._tokens.phrase(*key)
            found.append(_Candidate(numbers[row], query.number, box, score, texts[key]))
        return found


def _detections(found: Sequence[_Candidate], image: Tensor) -> Detections:
    boxes = torch.stack([one.box for one in found]) if found else torch.zeros(0, 4)
    return Detections(
        boxes.to(image.device),
        torch.tensor([one.score for one in found], device=image.device),
        tuple(one.text for one in found),
    )
