"""What a network has to offer to make weak labels.

Images are uint8 [H, W, 3] RGB tensors of full size on the labeller's device, and may differ in
size. A map is a [h, w] tensor of any size that is stretched over the whole of its image.
`name` says what made the labels, weights included: it goes into the store's header, and a store is
only gone on with under the same name. All of these may run in half precision as they like.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from gfocc_core.data.scenes import DatasetError
from gfocc_core.data.weak_labels import LabelGeometry


class LabellingError(DatasetError):
    """A model, a vocabulary or what a model returned cannot be used."""


@dataclass(frozen=True)
class Detections:
    """What a detector found in one image, D of them."""

    boxes: Tensor
    """float [D, 4] left, top, right, bottom in pixels of the image."""
    scores: Tensor
    """float [D], 0 to 1."""
    phrases: tuple[str, ...]
    """D phrases, each possibly none of those that were asked for."""

    def __post_init__(self) -> None:
        count = len(self.phrases)
        if self.boxes.shape != (count, 4) or self.scores.shape != (count,):
            raise LabellingError(
                f"{count} phrases need boxes [{count}, 4] and scores [{count}], got "
                f"{list(self.boxes.shape)} and {list(self.scores.shape)}"
            )


@runtime_checkable
class PhraseDetector(Protocol):
    """Finds what phrases name, such as Grounding DINO."""

    @property
    def name(self) -> str: ...

    def detect(self, images: Sequence[Tensor], phrases: Sequence[str]) -> Sequence[Detections]:
        """One Detections per image."""


@runtime_checkable
class BoxSegmenter(Protocol):
    """Cuts out what boxes hold, such as SAM."""

    @property
    def name(self) -> str: ...

    def encode(self, images: Sequence[Tensor]) -> Any:
        """The images' features, made once per image and given to segment."""

    def segment(self, features: Any, boxes: Sequence[Tensor]) -> Sequence[Tensor]:
        """One mask per box.

        Args:
            features: Of encode.
            boxes: Per image float [D, 4] as in Detections; D may be 0.

        Returns:
            Per image [D, h, w] maps: bool, or float logits that are positive inside.
        """


@runtime_checkable
class SemanticNetwork(Protocol):
    """Says the class of every pixel at once; an alternative to detector and segmenter."""

    @property
    def name(self) -> str: ...

    def classify(self, images: Sequence[Tensor], classes: Sequence[str]) -> Sequence[Tensor]:
        """One integer map of ids per image: indices into classes, 0 for no label."""


@runtime_checkable
class DepthNetwork(Protocol):
    """Maps images to metric depth, such as Depth Anything's metric models."""

    @property
    def name(self) -> str: ...

    def estimate(self, images: Sequence[Tensor], intrinsics: Tensor) -> Sequence[Tensor]:
        """One float map per image: metres along the optical axis.

        Args:
            images: B images.
            intrinsics: float64 [B, 3, 3] pinhole matrices in the images' pixels, on the CPU.
        """


class KeyframeLabeller(Protocol):
    """What the engine runs: all cameras of a keyframe to one kind of labels on the raster."""

    @property
    def kind(self) -> str:
        """One of LABEL_KINDS."""

    @property
    def name(self) -> str: ...

    def label(
        self, images: Sequence[Tensor], geometry: LabelGeometry, intrinsics: Tensor
    ) -> Tensor:
        """Labels on the CPU: uint8 [C, h, w] ids or float32 [C, h, w] metres.

        Args:
            images: Of the geometry's C cameras, on the CPU.
            geometry: Their raster.
            intrinsics: float64 [C, 3, 3] in pixels of the full-size images.
        """

    def remarks(self) -> Sequence[str]:
        """What a person should know about the run so far, a line each."""
