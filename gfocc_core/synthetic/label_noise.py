"""Weak labels from exact shots: what a segmenter and a depth network would make of the images.

Every error is drawn from (seed, keyframe, camera), so labels can be made again in any order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from hashlib import blake2b

import cv2
import numpy as np
import numpy.typing as npt

from gfocc_core.data.label_codec import MAX_DEPTH
from gfocc_core.data.weak_labels import WeakLabels
from gfocc_core.synthetic.label_confusion import OBJECT_CONFUSIONS, SURFACE_CONFUSIONS
from gfocc_core.synthetic.shots import SKY, CameraShot

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.uint8]

_SHARES = ("missed", "confused", "surfaces", "unknown")
_REFERENCE_WIDTH = 704
_FIELD_GAIN = 1.19  # cubic interpolation between unit normals lowers their deviation to 0.84


@dataclass(frozen=True)
class LabelNoise:
    """How wrong degraded labels are. Pixels are those of an image 704 wide; others scale along."""

    strength: float = 1.0
    """Multiplies all that follows except the two lengths and sky_depth; 0 gives exact labels."""
    boundary: float = 2.0
    """Typical displacement of segment borders, pixels."""
    boundary_length: float = 12.0
    """Distance over which that displacement changes, pixels."""
    missed: float = 0.08
    """Share of object instances per image that get no label, or that of what is around them."""
    confused: float = 0.08
    """Share of object instances per image that take the label of a similar class."""
    surfaces: float = 0.1
    """Share of the image where ground surfaces take each other's labels."""
    unknown: float = 0.04
    """Share of the image without a label."""
    depth_scale: float = 0.04
    """Standard deviation of the logarithm of an image's scale error."""
    depth_bend: float = 0.04
    """The same of the error that changes smoothly over the image."""
    depth_noise: float = 0.015
    """The same of the fine-grained error."""
    depth_blur: float = 1.5
    """Standard deviation of the blur that lets depth bleed across borders, pixels."""
    surface_length: float = 70.0
    """Size of confused and unknown patches, pixels."""
    sky_depth: float = 300.0
    """What the depth network says of the sky, metres."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (np.isfinite(value) and value >= 0):
                raise ValueError(f"label_noise.{field.name} must be 0 or more, got {value}")
        for name in _SHARES:
            if getattr(self, name) > 1:
                raise ValueError(f"label_noise.{name} must be at most 1, got {getattr(self, name)}")
        for name in ("boundary_length", "surface_length"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"label_noise.{name} must be at least 1, got {getattr(self, name)}"
                )
        if not 0 < self.sky_depth <= MAX_DEPTH:
            raise ValueError(
                f"label_noise.sky_depth must be above 0 and at most {MAX_DEPTH:g}, "
                f"got {self.sky_depth}"
            )

    def scaled(self, strength: float) -> LabelNoise:
        """The same kinds of errors, that much stronger."""
        return replace(self, strength=self.strength * strength)


def exact_labels(shots: Mapping[str, CameraShot]) -> WeakLabels:
    """What the shots truly show: semantics [C, H, W] with 0 for `others` and sky, sky without depth."""
    semantics = [np.where(shot.labels == SKY, np.uint8(0), shot.labels) for shot in shots.values()]
    depth = [np.minimum(shot.depth, np.float32(MAX_DEPTH)) for shot in shots.values()]
    return WeakLabels(np.stack(semantics), np.stack(depth))


def degrade(
    shots: Mapping[str, CameraShot], noise: LabelNoise, seed: int, token: str
) -> WeakLabels:
    """Labels of one keyframe as weak supervision has them; errors depend on nothing but the arguments.

    Args:
        shots: Camera name -> shot, in the label store's order; all of one size.
        noise: How wrong.
        seed: Of the dataset.
        token: The keyframe's.
    """
    if noise.strength == 0:
        return exact_labels(shots)
    semantics, depth = [], []
    for camera, shot in shots.items():
        digest = blake2b(f"{seed}/{token}/{camera}".encode(), digest_size=8).digest()
        random = np.random.default_rng(int.from_bytes(digest, "little"))
        semantics.append(_degrade_semantics(shot, noise, random))
        depth.append(_degrade_depth(shot, noise, random))
    return WeakLabels(np.stack(semantics), np.stack(depth))


def _degrade_semantics(shot: CameraShot, noise: LabelNoise, random: np.random.Generator) -> Labels:
    labels = _confuse_objects(shot, noise, random)
    length = noise.surface_length * shot.labels.shape[1] / _REFERENCE_WIDTH
    patches = _share(smooth_field(labels.shape, length, random), noise.strength * noise.surfaces)
    labels[patches] = SURFACE_CONFUSIONS[int(random.integers(len(SURFACE_CONFUSIONS)))][
        labels[patches]
    ]
    labels = _shift_borders(labels, noise, random)
    labels[_share(smooth_field(labels.shape, length, random), noise.strength * noise.unknown)] = 0
    labels[labels == SKY] = 0
    return labels


def _confuse_objects(shot: CameraShot, noise: LabelNoise, random: np.random.Generator) -> Labels:
    """Labels [H, W] in which whole instances are missing or called something similar."""
    counts = np.bincount(shot.objects.reshape(-1) + 1)
    counts[0] = 0  # ground and sky
    labels = shot.labels.copy()
    missed = min(1.0, noise.strength * noise.missed)
    confused = min(1.0 - missed, noise.strength * noise.confused)
    for instance in np.flatnonzero(counts) - 1:
        fate, choice = random.random(2)
        if fate >= missed + confused:
            continue
        rows, columns = _crop_around(shot.objects == instance)
        pixels = shot.objects[rows, columns] == instance
        part = labels[rows, columns]
        if fate < missed:
            part[pixels] = 0 if choice < 0.5 else _surrounding(shot.labels[rows, columns], pixels)
        else:
            similar = OBJECT_CONFUSIONS.get(int(part[pixels][0]), ())
            if similar:
                part[pixels] = similar[int(choice * len(similar))]
    return labels


def _crop_around(pixels: npt.NDArray[np.bool_]) -> tuple[slice, slice]:
    """Bounding box of True pixels with a margin of two."""
    left, top, width, height = cv2.boundingRect(pixels.view(np.uint8))
    return slice(max(top - 2, 0), top + height + 2), slice(max(left - 2, 0), left + width + 2)


def _surrounding(labels: Labels, pixels: npt.NDArray[np.bool_]) -> int:
    """The most frequent label around an instance; SKY counts as none."""
    grown = cv2.dilate(pixels.view(np.uint8), np.ones((5, 5), np.uint8)).view(bool)
    around = labels[grown & ~pixels]
    return int(np.bincount(around).argmax()) if around.size else 0


def _shift_borders(labels: Labels, noise: LabelNoise, random: np.random.Generator) -> Labels:
    height, width = labels.shape
    scale = width / _REFERENCE_WIDTH
    reach = noise.strength * noise.boundary * scale
    length = noise.boundary_length * scale
    x = smooth_field(labels.shape, length, random) * np.float32(reach)
    y = smooth_field(labels.shape, length, random) * np.float32(reach)
    x += np.arange(width, dtype=np.float32)
    y += np.arange(height, dtype=np.float32)[:, None]
    shifted = cv2.remap(labels, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(shifted, np.uint8)


def _degrade_depth(shot: CameraShot, noise: LabelNoise, random: np.random.Generator) -> Floats:
    """Metres [H, W], nowhere 0; the sky is far but there."""
    shape, scale = shot.depth.shape, shot.depth.shape[1] / _REFERENCE_WIDTH
    seen = np.where(shot.depth > 0, shot.depth, np.float32(noise.sky_depth))
    logarithm = np.log(seen)
    sigma = noise.strength * noise.depth_blur * scale
    if sigma > 0:
        logarithm = cv2.GaussianBlur(logarithm, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    logarithm += np.float32(noise.strength * noise.depth_scale * random.standard_normal())
    bend = smooth_field(shape, shape[1] / 3, random)
    grain = smooth_field(shape, max(2.0, 6 * scale), random)
    logarithm += bend * np.float32(noise.strength * noise.depth_bend)
    logarithm += grain * np.float32(noise.strength * noise.depth_noise)
    return np.minimum(np.exp(logarithm), np.float32(MAX_DEPTH))


def smooth_field(shape: tuple[int, ...], length: float, random: np.random.Generator) -> Floats:
    """Noise [H, W] of about unit variance whose bumps are `length` pixels across."""
    height, width = shape
    cell = max(1, round(length))
    rows, columns = -(-height // cell) + 2, -(-width // cell) + 2
    coarse = random.standard_normal((rows, columns), np.float32)
    top, left = random.integers(cell, size=2) + cell // 2
    fine = cv2.resize(coarse, (columns * cell, rows * cell), interpolation=cv2.INTER_CUBIC)
    field: Floats = fine[top : top + height, left : left + width] * np.float32(_FIELD_GAIN)
    return field


def _share(field: Floats, share: float) -> npt.NDArray[np.bool_]:
    """The pixels where the field is highest, that share of all."""
    count = round(min(share, 1.0) * field.size)
    if count == 0:
        return np.zeros(field.shape, bool)
    bound = np.partition(field.reshape(-1), field.size - count)[field.size - count]
    chosen: npt.NDArray[np.bool_] = field >= bound
    return chosen
