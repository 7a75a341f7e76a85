#!/usr/bin/env python3
"""Time, memory and agreement of whole frames: uint8 images on the host to labels on the host.

Every way to compute runs the same stream of frames, with memory; what it decides is compared with
plain float32 on the same stream. No two consecutive frames share an image or a pose.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from host_stalls import watched_host
from inference_stream import FRAMES_APART, FrameStream, image_size
from kernel_report import header, positive_numbers
from kernel_timing import Times
from torch import Tensor

from gfocc_core.checkpoint import CheckpointError
from gfocc_core.config import PRESETS, preset
from gfocc_core.inference import InferenceConfig
from gfocc_core.predictor import OccupancyPredictor, resolve_device
from gfocc_core.taxonomy import FREE_ID


@dataclass(frozen=True)
class Agreement:
    """Shares of voxels, of all compared frames, against plain float32."""

    occupied_or_free: float
    label_where_both_occupied: float
    occupied: float
    """Of the plain way; near 0 or 1 the first number means little."""


@dataclass(frozen=True)
class Row:
    """One way to compute one preset with some cameras."""

    network: str
    cameras: int
    way: str
    times: Times
    warm_up_s: float
    peak_mib: float
    """GPU: most tensor memory at once, warm-up included. CPU: most resident memory of the process."""
    held_mib: float | None
    """GPU memory that the process keeps while frames run, graphs included."""
    agreement: Agreement
    stages_ms: dict[str, float]
    host: str
    """How the machine stood still while frames were timed."""


def main() -> int:
    parser = _parser()
    given = parser.parse_args()
    try:
        given.device = resolve_device(given.device)
        ways = _ways(given)
        rows = list(_rows(given, ways))
    except (CheckpointError, ValueError) as error:
        parser.error(str(error))
    about = header(given.device, given.commit)
    if given.json:
        report = {**about, "images": given.images, "rows": [asdict(row) for row in rows]}
        try:
            given.json.write_text(json.dumps(report, indent=2) + "\n")
        except OSError as error:
            parser.error(f"--json {given.json} cannot be written: {error.strerror}")
    _print(about, given, rows)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    network = parser.add_mutually_exclusive_group()
    network.add_argument("--preset", nargs="+", choices=sorted(PRESETS), default=["paper"])
    network.add_argument("--checkpoint", type=Path, help="in place of random weights of a preset")
    parser.add_argument("--cameras", type=positive_numbers, default=[6], metavar="N,N,...")
    parser.add_argument("--images", default="900x1600", metavar="HxW", help="size of every camera")
    parser.add_argument(
        "--precision", nargs="+", choices=("float32", "bfloat16"), default=["float32", "bfloat16"]
    )
    parser.add_argument(
        "--compile", choices=("off", "default", "max-autotune"), default="default", help="on a GPU"
    )
    parser.add_argument("--no-graph", action="store_true", help="no CUDA graph")
    parser.add_argument("--pinned", action="store_true", help="images in page-locked memory")
    parser.add_argument("--stages", action="store_true", help="also time every stage")
    parser.add_argument("--frames", type=int, default=300, help="timed frames (default: 300)")
    parser.add_argument("--seconds", type=float, default=30.0, help="stop timing after these")
    parser.add_argument("--compared", type=int, default=20, help="compared frames (default: 20)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--commit", help="of a copy of the code without git")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    return parser


def _ways(given: argparse.Namespace) -> dict[str, InferenceConfig]:
    """Plain float32 and, on a GPU, each precision as fast as asked for."""
    for name in ("frames", "compared", "seconds"):
        if not getattr(given, name) > 0:
            raise ValueError(f"--{name} must be positive, got {getattr(given, name)}")
    ways = {"plain float32": InferenceConfig()}
    if given.device.type == "cuda":
        for precision in given.precision:
            fast = InferenceConfig(precision, given.compile, not given.no_graph)
            if not fast.is_plain:
                compiled = "" if given.compile == "off" else f", compiled ({given.compile})"
                ways[precision + compiled + (", graph" if fast.cuda_graph else "")] = fast
    return {name: replace(way, stage_timings=given.stages) for name, way in ways.items()}


def _rows(given: argparse.Namespace, ways: dict[str, InferenceConfig]) -> Iterator[Row]:
    height, width = image_size(given.images)
    networks = [str(given.checkpoint)] if given.checkpoint else given.preset
    for network in networks:
        for cameras in given.cameras:
            stream = FrameStream(cameras, (height, width), pinned=given.pinned)
            wanted: list[Tensor] = []
            for name, way in ways.items():
                row, found = _measure(given, network, stream, name, way, wanted)
                wanted = wanted or found
                print(f"{network}, {cameras} cameras, {name}: done", file=sys.stderr)
                yield row


def _measure(
    given: argparse.Namespace,
    network: str,
    stream: FrameStream,
    name: str,
    way: InferenceConfig,
    wanted: list[Tensor],
) -> tuple[Row, list[Tensor]]:
    """The row and the labels of the compared frames; `wanted`: those of the plain way, if known."""
    device = given.device
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    predictor = _predictor(given, network, stream.cameras, way)
    warm_up_s = predictor.warm_up(stream.image_sizes)
    found = [
        predictor.predict(stream.frame(number), to_host=True).labels
        for number in range(given.compared)
    ]
    peak_mib = _peak_mib(device)
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    gc.collect()
    gc.freeze()  # as the node does
    with watched_host() as host:
        began = time.monotonic()
        times, stages = _timed(predictor, stream, given)
        ended = time.monotonic()
    gc.unfreeze()
    held = torch.cuda.max_memory_reserved(device) / 2**20 if device.type == "cuda" else None
    row = Row(
        network=network,
        cameras=stream.cameras,
        way=name,
        times=times,
        warm_up_s=warm_up_s,
        peak_mib=max(peak_mib, _peak_mib(device)),
        held_mib=held,
        agreement=_agreement(found, wanted or found),
        stages_ms=stages,
        host=host.sentence(began, ended),
    )
    return row, found


def _predictor(
    given: argparse.Namespace, network: str, cameras: int, way: InferenceConfig
) -> OccupancyPredictor:
    if given.checkpoint:
        return OccupancyPredictor.from_checkpoint(network, given.device, way)
    config = preset(network)
    model = replace(config.model, cameras=max(cameras, config.model.cameras))
    return OccupancyPredictor.from_config(replace(config, model=model), given.device, inference=way)


def _timed(
    predictor: OccupancyPredictor, stream: FrameStream, given: argparse.Namespace
) -> tuple[Times, dict[str, float]]:
    """Host-to-host times of single frames, each begun when the one before is done."""
    totals: list[float] = []
    stages: dict[str, list[float]] = {}
    deadline = time.perf_counter() + given.seconds
    number = given.compared
    while len(totals) < given.frames and (time.perf_counter() < deadline or not totals):
        frame = stream.frame(number)
        began = time.perf_counter()
        occupancy = predictor.predict(frame, to_host=True)
        totals.append((time.perf_counter() - began) * 1e3)
        for stage, milliseconds in occupancy.timings_ms.items():
            stages.setdefault(stage, []).append(milliseconds)
        number += 1
    medians = {stage: statistics.median(values) for stage, values in stages.items()}
    medians.pop("total")
    return Times.of(totals), medians


def _agreement(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> Agreement:
    ours, plain = torch.stack(list(found)), torch.stack(list(wanted))
    both = (ours != FREE_ID) & (plain != FREE_ID)
    same = (ours == plain)[both]
    return Agreement(
        occupied_or_free=float(((ours == FREE_ID) == (plain == FREE_ID)).double().mean()),
        label_where_both_occupied=float(same.double().mean()) if len(same) else float("nan"),
        occupied=float((plain != FREE_ID).double().mean()),
    )


def _peak_mib(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def _print(about: dict[str, str], given: argparse.Namespace, rows: Sequence[Row]) -> None:
    print("## Inference: images on the host to labels on the host\n")
    print("; ".join(f"{name} {value}" for name, value in about.items()) + "\n")
    print(f"- uint8 images {given.images}, {'page-locked' if given.pinned else 'pageable'}")
    print(f"- agreement over {given.compared} frames, {FRAMES_APART} s apart, with memory\n")
    print(
        "| network | cameras | way | median ms | p99 | warm-up s | peak MiB | held MiB "
        "| occupied or free alike | labels alike | occupied |"
    )
    print("|" + "---|" * 11)
    for row in rows:
        held = "-" if row.held_mib is None else f"{row.held_mib:.0f}"
        alike = row.agreement
        print(
            f"| {row.network} | {row.cameras} | {row.way} | {row.times.median_ms:.2f} "
            f"| {row.times.p99_ms:.2f} | {row.warm_up_s:.1f} | {row.peak_mib:.0f} | {held} "
            f"| {alike.occupied_or_free:.3%} | {alike.label_where_both_occupied:.3%} "
            f"| {alike.occupied:.1%} |"
        )
    for row in rows:
        print(f"\nDuring {row.network}, {row.cameras} cameras, {row.way}: {row.host}")
        if row.stages_ms:
            stages = ", ".join(f"{stage} {ms:.3f}" for stage, ms in row.stages_ms.items())
            print(f"\nStages of {row.network}, {row.cameras} cameras, {row.way}, ms: {stages}")


if __name__ == "__main__":
    sys.exit(main())
