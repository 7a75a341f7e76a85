#!/usr/bin/env python3
"""Throughput and memory of the networks that make labels, stage by stage.

The images are a real keyframe's, or noise. Weights may be random: `grounding-dino,weights=random`
has the published network's size and needs no file; only how many boxes it finds means nothing.
That is why the segmenter gets boxes of its own; and `box_threshold=1` keeps the detector's
thousands of boxes of nothing from being sorted.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from inference_stream import image_size
from kernel_report import header
from kernel_timing import Times
from torch import Tensor

from gfocc_core.data.image_warp import decode_for_scale
from gfocc_core.data.scenes import DatasetError
from gfocc_core.labelling.models import Role, load_model
from gfocc_core.labelling.vocabulary import read_vocabulary
from gfocc_core.predictor import resolve_device

_ROOT = Path(__file__).resolve().parents[1]
_FOCAL_SHARE = 0.8
"""Focal length of the images' camera in its widths, about nuScenes'."""


@dataclass(frozen=True)
class Row:
    """One stage; times are of all images of a keyframe together."""

    stage: str
    network: str
    images: int
    times: Times
    images_per_s: float
    load_s: float
    first_s: float
    """The first pass, which also finds kernels and takes memory."""
    peak_mib: float
    """GPU: most tensor memory at once, weights included. CPU: most resident memory of the process,
    of all stages so far."""


def main() -> int:
    parser = _parser()
    given = parser.parse_args()
    if not (given.detector or given.segmenter or given.depth):
        parser.error("give --detector, --segmenter or --depth")
    if "" not in sys.path:
        sys.path.append("")  # for module:factory of the working folder
    try:
        given.device = resolve_device(given.device)
        rows = list(_rows(given))
    except (DatasetError, ValueError, OSError) as error:
        parser.error(str(error))
    about = header(given.device, given.commit)
    if given.json:
        given.json.write_text(json.dumps({**about, "rows": [asdict(row) for row in rows]}) + "\n")
    _print(about, given, rows)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    model = "as training/generate_labels.py takes it"
    parser.add_argument("--detector", metavar="MODEL", help=model)
    parser.add_argument("--segmenter", metavar="MODEL", help=model)
    parser.add_argument("--depth", metavar="MODEL", help=model)
    parser.add_argument("--keyframe", type=Path, help="folder with samples/CAM_*/*.jpg; else noise")
    parser.add_argument("--images", default="900x1600", metavar="HxW", help="size of noise")
    parser.add_argument("--cameras", type=int, default=6, help="images per pass (default: 6)")
    parser.add_argument("--boxes", type=int, default=100, help="per image for the segmenter")
    parser.add_argument(
        "--vocabulary", type=Path, default=_ROOT / "training/configs/vocabulary.yaml"
    )
    parser.add_argument("--repeats", type=int, default=5, help="timed passes (default: 5)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--commit", help="of a copy of the code without git")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    return parser


def _rows(given: argparse.Namespace) -> Iterator[Row]:
    """A row per stage; a network's memory is free again before the next is loaded."""
    for name in ("cameras", "boxes", "repeats"):
        if getattr(given, name) < 1:
            raise ValueError(f"--{name} must be positive, got {getattr(given, name)}")
    images = [image.to(given.device) for image in _images(given)]
    if given.detector:
        phrases = tuple(read_vocabulary(given.vocabulary).phrases)
        model, load_s = _load("detector", given.detector, given.device)
        stage = f"detect {len(phrases)} phrases"
        yield _measure(stage, model, load_s, given, lambda: model.detect(images, phrases))
        del model
    if given.segmenter:
        segmenter, load_s = _load("segmenter", given.segmenter, given.device)
        yield _measure("encode", segmenter, load_s, given, lambda: segmenter.encode(images))
        features = segmenter.encode(images)
        boxes = [_boxes(image, given.boxes) for image in images]
        stage = f"segment {given.boxes} boxes"
        cut = _measure(stage, segmenter, 0.0, given, lambda: segmenter.segment(features, boxes))
        yield cut
        del segmenter, features
    if given.depth:
        depth, load_s = _load("depth", given.depth, given.device)
        matrices = torch.stack([_intrinsics(image) for image in images])
        yield _measure("depth", depth, load_s, given, lambda: depth.estimate(images, matrices))


def _load(role: Role, specification: str, device: torch.device) -> tuple[Any, float]:
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    began = time.perf_counter()
    model = load_model(role, specification, device)
    return model, time.perf_counter() - began


def _measure(
    stage: str, model: Any, load_s: float, given: argparse.Namespace, run: Callable[[], object]
) -> Row:
    def timed() -> float:
        began = time.perf_counter()
        with torch.inference_mode():
            run()
        if given.device.type == "cuda":
            torch.cuda.synchronize(given.device)
        return time.perf_counter() - began

    print(f"{stage} of {model.name} ...", file=sys.stderr)
    first_s = timed()
    times = Times.of([timed() * 1e3 for _ in range(given.repeats)])
    return Row(
        stage=stage,
        network=model.name,
        images=given.cameras,
        times=times,
        images_per_s=given.cameras / times.median_ms * 1e3,
        load_s=load_s,
        first_s=first_s,
        peak_mib=_peak_mib(given.device),
    )


def _images(given: argparse.Namespace) -> list[Tensor]:
    """uint8 [H, W, 3], as many as there are cameras; the keyframe's go round."""
    if given.keyframe is None:
        height, width = image_size(given.images)
        generator = torch.Generator().manual_seed(0)
        shape = (height, width, 3)
        return [
            torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
            for _ in range(given.cameras)
        ]
    files = sorted(given.keyframe.glob("samples/CAM_*/*.jpg"))
    if not files:
        raise ValueError(f"--keyframe {given.keyframe} has no samples/CAM_*/*.jpg")
    chosen = [files[number % len(files)] for number in range(given.cameras)]
    return [torch.from_numpy(decode_for_scale(file.read_bytes(), 1.0)[0]) for file in chosen]


def _boxes(image: Tensor, count: int) -> Tensor:
    """Random boxes inside the image, as a detector's: mostly small."""
    generator = torch.Generator().manual_seed(count)
    corner, extent = torch.rand(2, count, 2, generator=generator)
    size = torch.tensor([image.shape[1], image.shape[0]])
    low = corner * 0.9 * size
    return torch.cat([low, low + (0.02 + 0.08 * extent) * size], -1).to(image.device)


def _intrinsics(image: Tensor) -> Tensor:
    height, width = image.shape[:2]
    focal = _FOCAL_SHARE * width
    rows = [[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]]
    return torch.tensor(rows, dtype=torch.float64)


def _peak_mib(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def _print(about: dict[str, str], given: argparse.Namespace, rows: Sequence[Row]) -> None:
    print("## Labelling: images on the device to what networks say of them\n")
    print("; ".join(f"{name} {value}" for name, value in about.items()) + "\n")
    source = f"noise {given.images}" if given.keyframe is None else f"of {given.keyframe}"
    print(f"- {given.cameras} images at once, {source}; {given.repeats} passes\n")
    print("| stage | network | median ms | images/s | peak MiB | load s | first pass s |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for row in rows:
        print(
            f"| {row.stage} | {row.network} | {row.times.median_ms:.1f} | {row.images_per_s:.3g} "
            f"| {row.peak_mib:.0f} | {row.load_s:.1f} | {row.first_s:.1f} |"
        )


if __name__ == "__main__":
    sys.exit(main())
