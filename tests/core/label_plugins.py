"""Models for tests of label generation: a real small Cityscapes network, and small torch ones.

Named by tests as `tests.core.label_plugins:factory`.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from gfocc_core.labelling.canonical import CanonicalCamera, CanonicalDepth
from gfocc_core.labelling.protocols import Detections

Components = list[tuple[npt.NDArray[np.bool_], tuple[int, int, int, int], int]]

# The phrase for each trainId; the vocabulary lacks the last but two.
CITYSCAPES_PHRASES = (
    *("street", "sidewalk", "building", "wall", "fence", "pole", "light", "sign", "tree"),
    *("terrain", "sky", "person", "person", "car", "truck", "bus", "train", "motorcycle"),
    "bicycle",
)
CITYSCAPES_CLASSES = (
    *("driveable_surface", "sidewalk", "manmade", "manmade", "manmade", "manmade", "manmade"),
    *("manmade", "vegetation", "terrain", "others", "pedestrian", "pedestrian", "car", "truck"),
    *("bus", "others", "motorcycle", "bicycle"),
)
SMALLEST_COMPONENT = 30
"""Pixels of the network's raster."""


class Cityscapes:
    """The network of ../shared/data/models as a SemanticNetwork, and what the others stand on."""

    def __init__(self, weights: str) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.name = f"deeplab {Path(weights).name}"
        self._interpreter = Interpreter(model_path=weights, num_threads=1)
        self._interpreter.allocate_tensors()

    def train_ids(self, image: Tensor) -> npt.NDArray[Any]:
        """Integer [h, w] of the whole image."""
        taken, given = self._interpreter.get_input_details()[0], None
        height, width = taken["shape"][1:3]
        small = cv2.resize(image.cpu().numpy(), (int(width), int(height)))
        self._interpreter.set_tensor(taken["index"], small[None])
        self._interpreter.invoke()
        given = self._interpreter.get_tensor(self._interpreter.get_output_details()[0]["index"])
        return np.asarray(given).reshape(given.shape[1:3])

    def classify(self, images: Sequence[Tensor], classes: Sequence[str]) -> Sequence[Tensor]:
        """Ids of `classes` through Cityscapes' trainIds."""
        table = torch.tensor([classes.index(name) for name in CITYSCAPES_CLASSES])
        return [table[torch.from_numpy(self.train_ids(image)).long()] for image in images]


class CityscapesDetector(Cityscapes):
    """A PhraseDetector: the boxes around connected pixels of a class; how full they are counts."""

    def detect(self, images: Sequence[Tensor], phrases: Sequence[str]) -> Sequence[Detections]:
        found = []
        for image in images:
            components = components_of(self.train_ids(image))
            scale = torch.tensor([image.shape[1] / 513, image.shape[0] / 513] * 2)
            boxes = torch.tensor([box for _, box, _ in components]).float().view(-1, 4) * scale
            scores = [float(m.sum()) / ((b[2] - b[0]) * (b[3] - b[1])) for m, b, _ in components]
            named = tuple(CITYSCAPES_PHRASES[number] for _, _, number in components)
            found.append(Detections(boxes, torch.tensor(scores), named))
        return found


class CityscapesSegmenter(Cityscapes):
    """A BoxSegmenter: the connected pixels of one class that fit the box best."""

    def encode(self, images: Sequence[Tensor]) -> list[tuple[tuple[int, ...], Components]]:
        return [(tuple(image.shape), components_of(self.train_ids(image))) for image in images]

    def segment(self, features: Any, boxes: Sequence[Tensor]) -> Sequence[Tensor]:
        masks = []
        for (shape, components), wanted in zip(features, boxes, strict=True):
            scale = torch.tensor([shape[1] / 513, shape[0] / 513] * 2)
            known = torch.tensor([box for _, box, _ in components]).float().view(-1, 4) * scale
            best = torch.cdist(wanted, known, p=1).argmin(1) if len(wanted) else []
            picked = [components[int(number)][0] for number in best]
            masks.append(torch.from_numpy(np.stack(picked)) if picked else torch.zeros(0, 1, 1))
        return masks


def components_of(train_ids: npt.NDArray[Any]) -> Components:
    """(mask, box, trainId) of connected pixels of one class."""
    found: Components = []
    for number in range(len(CITYSCAPES_PHRASES)):
        mask = (train_ids == number).astype(np.uint8)
        count, labels, statistics, _ = cv2.connectedComponentsWithStats(mask)
        for part in range(1, count):
            left, top, width, height, area = (int(value) for value in statistics[part])
            if area >= SMALLEST_COMPONENT:
                found.append((labels == part, (left, top, left + width, top + height), number))
    return found


class _SmallNetwork(nn.Module):
    """Canonical depth of 2 to 60 m from random weights: the code path, not the truth."""

    def __init__(self, seed: int, pause: float) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.name = f"random {seed}"
        self._pause = pause
        self.layers = nn.Sequential(
            nn.Conv2d(3, 4, 5, stride=4, padding=2), nn.ReLU(), nn.Conv2d(4, 1, 3, padding=1)
        )

    def predict(self, pixels: Tensor) -> Tensor:
        """[B, 3, h, w] -> [B, h, w]"""
        time.sleep(self._pause)
        coarse = nn.functional.interpolate(self.layers(pixels), pixels.shape[2:], mode="bilinear")
        return 2 + 58 * coarse[:, 0].sigmoid()


def random_depth(device: torch.device, seed: str = "0", pause: str = "0") -> CanonicalDepth:
    """A DepthNetwork of random weights behind the canonical camera (small, to be quick)."""
    network = _SmallNetwork(int(seed), float(pause)).to(device).eval()
    return CanonicalDepth(network, CanonicalCamera(height=77, width=133))


def disk_filling_depth(device: torch.device, keyframes: str) -> CanonicalDepth:
    """random_depth that after some keyframes lets this process write no file of useful size."""
    depth, left = random_depth(device), int(keyframes)

    class Filling(CanonicalDepth):
        def estimate(self, images: Sequence[Tensor], intrinsics: Tensor) -> Sequence[Tensor]:
            nonlocal left
            left -= 1
            if left < 0:
                resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
            return depth.estimate(images, intrinsics)

    return Filling(_SmallNetwork(0, 0.0))


class BrightClasses:
    """A SemanticNetwork that depends on the image: the id is its brightness."""

    name = "brightness"

    def classify(self, images: Sequence[Tensor], classes: Sequence[str]) -> Sequence[Tensor]:
        return [image.float().mean(-1).mul(len(classes) / 256).long() for image in images]


def bright_classes(device: torch.device) -> BrightClasses:
    return BrightClasses()


def cityscapes(device: torch.device, weights: str) -> Cityscapes:
    return Cityscapes(weights)


def cityscapes_detector(device: torch.device, weights: str) -> CityscapesDetector:
    return CityscapesDetector(weights)


def cityscapes_segmenter(device: torch.device, weights: str) -> CityscapesSegmenter:
    return CityscapesSegmenter(weights)
