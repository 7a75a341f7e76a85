"""From phrases, boxes and masks, or from a network's class maps, to semantic labels (ALGORITHM 8)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from gfocc_core.data.weak_labels import CameraRaster, LabelGeometry
from gfocc_core.labelling.pixel_maps import PixelMapLabeller, on_device, require_one_each
from gfocc_core.labelling.protocols import (
    BoxSegmenter,
    Detections,
    LabellingError,
    PhraseDetector,
    SemanticNetwork,
)
from gfocc_core.labelling.raster import bilinear_on_raster, nearest_on_raster
from gfocc_core.labelling.vocabulary import PhraseVocabulary

DEFAULT_THRESHOLD = 0.2
_LISTED_PHRASES = 8


class PhraseSemantics:
    """A KeyframeLabeller: a detector finds the vocabulary's phrases, a segmenter cuts them out."""

    kind = "semantics"

    def __init__(
        self,
        detector: PhraseDetector,
        segmenter: BoxSegmenter,
        vocabulary: PhraseVocabulary,
        device: torch.device,
        threshold: float = DEFAULT_THRESHOLD,
    ) -> None:
        """Args: threshold: detections with a lower score are dropped."""
        if not 0 <= threshold <= 1:
            raise LabellingError(f"threshold must be in 0 to 1, got {threshold}")
        self._detector, self._segmenter = detector, segmenter
        self._vocabulary, self._device, self._threshold = vocabulary, device, threshold
        self._foreign: Counter[str] = Counter()

    @property
    def name(self) -> str:
        """Both networks, the threshold, and a digest of the vocabulary."""
        return (
            f"{self._detector.name} + {self._segmenter.name}, threshold {self._threshold:g}, "
            f"vocabulary {self._vocabulary.digest}"
        )

    def label(
        self, images: Sequence[Tensor], geometry: LabelGeometry, intrinsics: Tensor
    ) -> Tensor:
        """uint8 [C, h, w] ids; see KeyframeLabeller."""
        with torch.inference_mode():
            there = on_device(images, self._device)
            found = self._detector.detect(there, tuple(self._vocabulary.phrases))
            require_one_each("detections", found, images)
            kept = [self._keep_known(detections) for detections in found]
            masks = self._masks(there, [detections.boxes for detections, _ in kept])
            raster = (geometry.height, geometry.width)
            labels = torch.zeros(geometry.shape, dtype=torch.uint8, device=self._device)
            for number, ((detections, ids), camera) in enumerate(
                zip(kept, geometry.cameras, strict=True)
            ):
                if not ids:
                    continue
                given = masks[number]
                if given.ndim != 3 or len(given) != len(ids):
                    raise LabellingError(
                        f"the segmenter must return [{len(ids)}, h, w] for {len(ids)} boxes, "
                        f"got {list(given.shape)}"
                    )
                if given.is_floating_point():
                    inside = bilinear_on_raster(given, camera, raster) > 0
                else:
                    inside = nearest_on_raster(given.bool(), camera, raster)
                labels[number] = merge_masks(inside, detections.scores, ids)
            return labels.cpu()

    def remarks(self) -> Sequence[str]:
        """How many detections were dropped for their phrase, the commonest phrases first."""
        if not self._foreign:
            return ()
        common = self._foreign.most_common(_LISTED_PHRASES)
        listed = ", ".join(f"'{phrase}' {count}" for phrase, count in common)
        more = ", ..." if len(self._foreign) > len(common) else ""
        return (
            f"{self._foreign.total()} detections dropped, since the vocabulary lacks their "
            f"phrases: {listed}{more}",
        )

    def _keep_known(self, found: Detections) -> tuple[Detections, list[int]]:
        """Those above the threshold whose phrase has a class, and the ids of these classes."""
        kept, ids = [], []
        for number, (score, phrase) in enumerate(
            zip(found.scores.tolist(), found.phrases, strict=True)
        ):
            if not score >= self._threshold:
                continue
            known = self._vocabulary.id_of(phrase)
            if known is None:
                self._foreign[phrase] += 1
                continue
            kept.append(number)
            ids.append(known)
        phrases = tuple(found.phrases[number] for number in kept)
        return Detections(found.boxes[kept], found.scores[kept], phrases), ids

    def _masks(self, images: Sequence[Tensor], boxes: Sequence[Tensor]) -> Sequence[Tensor]:
        if not any(map(len, boxes)):
            return [torch.empty(0)] * len(images)
        masks = self._segmenter.segment(self._segmenter.encode(images), boxes)
        require_one_each("masks", masks, images)
        return masks


class NetworkSemantics(PixelMapLabeller):
    """A KeyframeLabeller around a network that says the class of every pixel: uint8 ids."""

    kind = "semantics"

    def __init__(
        self, network: SemanticNetwork, vocabulary: PhraseVocabulary, device: torch.device
    ) -> None:
        super().__init__(device)
        self._network, self._classes = network, vocabulary.classes

    @property
    def name(self) -> str:
        return self._network.name

    def _maps(self, images: Sequence[Tensor], intrinsics: Tensor) -> Sequence[Tensor]:
        return self._network.classify(images, self._classes)

    def _on_raster(self, found: Tensor, camera: CameraRaster, raster: tuple[int, int]) -> Tensor:
        return nearest_on_raster(found[None], camera, raster)[0].long()

    def _labels(self, rows: Tensor) -> Tensor:
        low, high = int(rows.min()), int(rows.max())
        if low < 0 or high >= len(self._classes):
            raise LabellingError(
                f"{self.name} must return ids 0 to {len(self._classes) - 1}, got {low} to {high}"
            )
        return rows.to(torch.uint8)


def merge_masks(masks: Tensor, scores: Tensor, ids: Sequence[int]) -> Tensor:
    """The class of the highest-scoring mask at each pixel, 0 where there is none.

    Args:
        masks: bool [D, h, w], D >= 1.
        scores: [D]; of equal ones the first wins.
        ids: D classes.

    Returns:
        uint8 [h, w]
    """
    order = scores.argsort(descending=True, stable=True)
    rank = torch.arange(len(ids), dtype=torch.int32, device=masks.device)[:, None, None]
    nobody = torch.full((), len(ids), dtype=torch.int32, device=masks.device)
    best = torch.where(masks[order.to(masks.device)], rank, nobody).amin(0)
    by_rank = [ids[number] for number in order.tolist()] + [0]
    return torch.tensor(by_rank, dtype=torch.uint8, device=masks.device)[best.long()]
