#!/usr/bin/env python3
"""Rate of the training data loader beside a plain PIL loader that makes the same tensors.

Both read the same index and the same weak labels; they differ in how an image file becomes the
network's raster: here one warp of a JPEG decoded at reduced scale, there PIL's full decode, resize,
crop and rotation. Without --dataroot a data set of generated 1600x900 JPEGs is made first.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import io
import json
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from generated_scene import GENERATED_VERSION, write_dense_labels, write_generated_scene
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader

from gfocc_core.config import ImageConfig
from gfocc_core.data.augmentation import InputPlacement, draw_placement
from gfocc_core.data.image_warp import Pixels
from gfocc_core.data.index import SceneIndex
from gfocc_core.data.label_store import LabelStore
from gfocc_core.data.nuscenes_index import build_index
from gfocc_core.data.scenes import DatasetError
from gfocc_core.data.training_dataset import TrainingDataset
from gfocc_core.data.training_item import TrainingItem
from gfocc_core.data.training_loader import training_loader

WARM_UP_BATCHES = 2
Loader = Callable[..., DataLoader[Any]]


class PilDataset(TrainingDataset):
    """The same items with PIL doing every step on the image, scaled as PIL does unless told."""

    scaling = Image.Resampling.BICUBIC

    def load_image(self, data: bytes, placement: InputPlacement, out: Pixels) -> tuple[int, int]:
        height, width = placement.size
        with Image.open(io.BytesIO(data)) as file:
            image = file.convert("RGB")
        size = (image.height, image.width)
        image = image.resize((placement.resized[1], placement.resized[0]), self.scaling)
        left, top = placement.left, placement.top
        image = image.crop((left, top, left + width, top + height))
        # PIL turns counter-clockwise.
        image = image.rotate(-np.degrees(placement.rotation), Image.Resampling.BILINEAR)
        out[:] = np.asarray(image).transpose(2, 0, 1)
        return size


class PilBilinearDataset(PilDataset):
    """The same with PIL's faster, softer scaling."""

    scaling = Image.Resampling.BILINEAR


@dataclass(frozen=True)
class Rate:
    """How fast a data loader was."""

    per_second: float
    """Samples a second, in its steady state."""
    cpu_milliseconds: float
    """Processor time per sample of all workers, which says the same on a busy machine."""


def plain_loader(
    dataset: TrainingDataset, *, batch_size: int, workers: int, sampler: list[int]
) -> DataLoader[TrainingItem]:
    """torch's data loader as it comes."""
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
    )


def measure(dataset: TrainingDataset, load: Loader, samples: int, batch: int, workers: int) -> Rate:
    """Load items that have their whole history, so that every image is another file."""
    batches = WARM_UP_BATCHES * workers + max(1, samples // batch)
    whole = range(dataset.history, len(dataset)) or range(len(dataset))
    numbers = [whole[index % len(whole)] for index in range(batches * batch)]
    loader = load(dataset, batch_size=batch, workers=workers, sampler=numbers)
    arrivals = []
    before = _processor_time_of_children()
    for _ in loader:
        arrivals.append(time.perf_counter())
    del loader
    spent = _processor_time_of_children() - before
    counted = arrivals[WARM_UP_BATCHES * workers - 1 :]
    return Rate((len(counted) - 1) * batch / (counted[-1] - counted[0]), spent / len(numbers) * 1e3)


def _processor_time_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def milliseconds(work: Callable[[], object], repeats: int = 12) -> float:
    """Median time of a piece of work in this one process."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return float(np.median(times)) * 1e3


def run(index: SceneIndex, labels: LabelStore, args: argparse.Namespace) -> dict[str, Any]:
    """All measurements as one JSON-able record; ratios are this loader's to the others.

    Of several rounds the best counts: other work on the machine only ever slows a loader down.
    """
    image = ImageConfig()
    loaders: dict[str, tuple[type[TrainingDataset], Loader]] = {
        "gfocc": (TrainingDataset, training_loader),
        "PIL": (PilDataset, plain_loader),
        "PIL bilinear": (PilBilinearDataset, plain_loader),
    }
    datasets = {
        name: kind(index, labels, index.scenes, image, renders=args.renders)
        for name, (kind, _) in loaders.items()
    }
    rounds: dict[str, list[Rate]] = {name: [] for name in datasets}
    for _ in range(args.rounds):
        for name, dataset in datasets.items():
            rounds[name].append(
                measure(dataset, loaders[name][1], args.samples, args.batch, args.workers)
            )
    ours = datasets["gfocc"]
    images = int(np.prod(ours[0]["images"].shape[:2]))
    data = Path(next(f for f in index.keyframe(0).camera_files if f)).read_bytes()
    size = labels.header.geometry.cameras[0].image_size
    placement = draw_placement(np.random.default_rng(0), size, image, ours.augmentation)
    out = np.zeros((3, image.height, image.width), np.uint8)
    rows = {}
    for name, dataset in datasets.items():
        per_second = max(rate.per_second for rate in rounds[name])
        rows[name] = {
            "samples_per_second": per_second,
            "images_per_second": per_second * images,
            "cpu_milliseconds_per_sample": min(rate.cpu_milliseconds for rate in rounds[name]),
            "milliseconds_per_image": milliseconds(
                functools.partial(dataset.load_image, data, placement, out)
            ),
        }
    for row in rows.values():
        row["ratio"] = rows["gfocc"]["samples_per_second"] / row["samples_per_second"]
        row["cpu_ratio"] = (
            row["cpu_milliseconds_per_sample"] / rows["gfocc"]["cpu_milliseconds_per_sample"]
        )
    return {
        "device": f"CPU {processor()}, {os.cpu_count()} cores",
        "date": datetime.date.today().isoformat(),
        "workers": args.workers,
        "batch": args.batch,
        "rounds": args.rounds,
        "renders": args.renders,
        "images_per_sample": images,
        "jpeg_kilobytes": len(data) / 1e3,
        "label_milliseconds": milliseconds(lambda: labels.read(index.tokens[0])),
        "loaders": rows,
    }


def processor() -> str:
    """Name of the processor, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def print_table(result: dict[str, Any]) -> None:
    """The record as a table for people."""
    console = Console()
    console.print(
        f"{result['device']}, {result['date']}; {result['workers']} workers, batch "
        f"{result['batch']}; {result['images_per_sample']} images of "
        f"{result['jpeg_kilobytes']:.0f} kB and {result['renders']} labelled frames a sample; reading the labels of a keyframe takes "
        f"{result['label_milliseconds']:.1f} ms"
    )
    table = Table()
    headings = {
        "samples/s": "samples_per_second",
        "images/s": "images_per_second",
        "gfocc faster": "ratio",
        "CPU ms/sample": "cpu_milliseconds_per_sample",
        "on CPU": "cpu_ratio",
        "ms/image": "milliseconds_per_image",
    }
    table.add_column("loader")
    for heading in headings:
        table.add_column(heading, justify="right")
    for name, row in result["loaders"].items():
        table.add_row(name, *(f"{row[key]:.4g}" for key in headings.values()))
    console.print(table)


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; returns its exit code (2: bad input)."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--dataroot", type=Path, help="a nuScenes-schema data set to read instead")
    parser.add_argument("--version", default=GENERATED_VERSION, help="its version")
    parser.add_argument("--samples", type=int, default=24, help="counted per loader and round")
    parser.add_argument("--rounds", type=int, default=3, help="the loaders take turns")
    parser.add_argument("--renders", type=int, default=7, help="labelled frames per sample")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print one JSON object, no table")
    args = parser.parse_args(argv)
    if min(args.samples, args.rounds, args.renders, args.batch, args.workers) < 1:
        parser.error("the numbers must be at least 1")
    try:
        with tempfile.TemporaryDirectory(prefix="gfocc-dataloader-") as folder:
            root = args.dataroot or write_generated_scene(Path(folder) / "nuscenes")
            index = SceneIndex(root, *build_index(root, args.version))
            labels = write_dense_labels(Path(folder) / "labels", index)
            result = run(index, labels, args)
    except (DatasetError, OSError) as error:
        print(f"dataloader: error: {error}", file=sys.stderr)
        return 2
    if args.json:
        print(json.dumps(result))
    else:
        print_table(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
