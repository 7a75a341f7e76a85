"""Weak 2D labels of a keyframe: what they are, on which raster, and how a reader hands them out.

A raster is the full-size image scaled by `scale`, then cut at `left` and `top`; pixel coordinates
are continuous (the first pixel spans 0 to 1), so `p_label = scale * p_image - (left, top)`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any, Protocol

import dacite
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gfocc_core.config import ImageConfig
from gfocc_core.data.scenes import DatasetError
from gfocc_core.preprocess import place_image

FORMAT_VERSION = 1
LABEL_KINDS: tuple[str, ...] = ("semantics", "depth")


class LabelStoreError(DatasetError):
    """Weak labels are damaged, or of another geometry, vocabulary or format than asked for."""


@dataclass(frozen=True)
class CameraRaster:
    """How one camera's image becomes its label raster."""

    name: str
    image_size: tuple[int, int]
    """(height, width) of the full-size image in pixels."""
    scale: float
    left: int
    """Columns cut off after scaling."""
    top: int
    """Rows cut off after scaling."""


@dataclass(frozen=True)
class LabelGeometry:
    """The label raster of every camera, in the order of the arrays' first axis."""

    height: int
    width: int
    cameras: tuple[CameraRaster, ...]

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 1 or not self.cameras:
            raise LabelStoreError(
                f"a label raster needs at least one camera and one pixel, got "
                f"{len(self.cameras)} cameras of {self.height} x {self.width}"
            )
        if len(set(self.names)) < len(self.names):
            raise LabelStoreError(f"cameras must differ in name, got {', '.join(self.names)}")
        for camera in self.cameras:
            if not camera.scale > 0:
                raise LabelStoreError(
                    f"scale of camera {camera.name} must be positive, got {camera.scale}"
                )

    @classmethod
    def covering(
        cls, image_sizes: Mapping[str, tuple[int, int]], raster: ImageConfig
    ) -> LabelGeometry:
        """Labels on the raster that the network's input has without augmentation.

        Args:
            image_sizes: Camera name -> (height, width) of its images, in the arrays' order.
            raster: Only its height and width count.
        """
        cameras = []
        for name, size in image_sizes.items():
            place = place_image(size, raster)
            cameras.append(CameraRaster(name, size, place.scale, place.left, place.top))
        return cls(raster.height, raster.width, tuple(cameras))

    @property
    def names(self) -> tuple[str, ...]:
        """The cameras' names."""
        return tuple(camera.name for camera in self.cameras)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of each label array: [C, height, width]."""
        return (len(self.cameras), self.height, self.width)

    def place_intrinsics(self, intrinsics: Tensor) -> Tensor:
        """Pinhole matrices [..., C, 3, 3] of the full-size images -> those of the label rasters."""
        placed = intrinsics.clone()
        for index, camera in enumerate(self.cameras):
            placed[..., index, :2, :] *= camera.scale
            placed[..., index, :2, 2] -= torch.tensor([camera.left, camera.top]).to(placed)
        return placed


@dataclass(frozen=True)
class StoreHeader:
    """What all labels of a store have in common."""

    models: Mapping[str, str]
    """Label kind ("semantics", "depth") -> name of what made it. A kind that is not named here is
    not stored, and reads as zeros: no label."""
    vocabulary: tuple[str, ...]
    """Name of each semantic id; the index is the id, and id 0 means no label."""
    geometry: LabelGeometry
    version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        unknown = set(self.models) - set(LABEL_KINDS)
        if unknown or not self.models:
            raise LabelStoreError(
                f"models must name one or both of {', '.join(LABEL_KINDS)}, "
                f"got {', '.join(sorted(self.models)) or 'nothing'}"
            )
        if not 2 <= len(self.vocabulary) <= 256:
            raise LabelStoreError(
                f"vocabulary must have 2 to 256 names, got {len(self.vocabulary)}"
            )

    @cached_property
    def digest(self) -> bytes:
        """8 bytes that tell stores of different headers apart."""
        return blake2b(self.to_json().encode(), digest_size=8).digest()

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True, indent=1)

    @classmethod
    def from_json(cls, text: str) -> StoreHeader:
        """Inverse of to_json; raises LabelStoreError, also for another format version."""
        try:
            values: Any = json.loads(text)
            if not isinstance(values, dict) or values.get("version") != FORMAT_VERSION:
                found = values.get("version") if isinstance(values, dict) else values
                raise LabelStoreError(
                    f"format version is {found!r}, this program reads {FORMAT_VERSION}"
                )
            return dacite.from_dict(cls, values, dacite.Config(strict=True, cast=[tuple, float]))
        except (dacite.DaciteError, json.JSONDecodeError, ValueError, TypeError) as error:
            if isinstance(error, LabelStoreError):
                raise
            raise LabelStoreError(f"the header cannot be read: {error}") from error


@dataclass(frozen=True)
class WeakLabels:
    """The labels of one keyframe, C cameras."""

    semantics: npt.NDArray[np.uint8]
    """uint8 [C, h, w] class ids; 0 is no label."""
    depth: npt.NDArray[np.floating[Any]]
    """float16 or float32 [C, h, w] along the optical axis in metres; 0 is no label."""

    @classmethod
    def empty(cls, geometry: LabelGeometry) -> WeakLabels:
        """Arrays to be filled."""
        return cls(np.empty(geometry.shape, np.uint8), np.empty(geometry.shape, np.float32))

    def check(self, header: StoreHeader) -> None:
        """Raise LabelStoreError where the arrays are not what the header promises."""
        shape = header.geometry.shape
        for name, array in (("semantics", self.semantics), ("depth", self.depth)):
            if array.shape != shape:
                raise LabelStoreError(f"{name} must be {list(shape)}, got {list(array.shape)}")
            if name not in header.models and array.any():
                raise LabelStoreError(
                    f"{name} must be zero, since the header names no model for it"
                )
        if self.semantics.dtype != np.uint8:
            raise LabelStoreError(f"semantics must be uint8, got {self.semantics.dtype}")
        highest = int(self.semantics.max())
        if highest >= len(header.vocabulary):
            raise LabelStoreError(
                f"semantics must hold ids 0 to {len(header.vocabulary) - 1}, got {highest}"
            )
        if self.depth.dtype not in (np.float16, np.float32):
            raise LabelStoreError(f"depth must be float16 or float32, got {self.depth.dtype}")


class LabelReader(Protocol):
    """Where training gets weak labels from: a LabelStore, ReferenceLabels or one of your own."""

    @property
    def header(self) -> StoreHeader:
        """Models, vocabulary and geometry of all labels."""

    def tokens(self) -> Sequence[str]:
        """Keyframes that have labels, sorted."""

    def has(self, token: str) -> bool:
        """Whether a keyframe has labels."""

    def read(self, token: str, out: WeakLabels | None = None) -> WeakLabels:
        """Labels of a keyframe, in `out` (C-contiguous, depth float32) if given.

        Raises:
            LabelStoreError: names the file that is missing or unusable.
        """
