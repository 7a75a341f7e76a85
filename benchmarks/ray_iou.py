"""How long RayIoU of one sample takes: python benchmarks/ray_iou.py [--device cuda] [--json FILE].

One sample is 7 origins x 14040 rays through a prediction and a truth of 200 x 200 x 16 voxels:
a made-up street, and as the worst case two empty grids, where every ray walks to the border.
Needs torch and numpy only; on a machine without gfocc installed run it with PYTHONPATH=. set.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

import torch
from torch import Tensor

from gfocc_core.grid import OCC3D_GRID
from gfocc_core.metrics.ray_iou import count_sample
from gfocc_core.taxonomy import FREE_ID

DRIVEABLE, MANMADE, CAR = 11, 15, 4
ORIGIN_HEIGHT_M, ORIGIN_SPACING_M, ORIGINS = 1.84, 2.3, 7


@dataclass(frozen=True)
class Timing:
    scene: str
    median_ms: float
    fastest_ms: float
    slowest_ms: float
    peak_memory_mib: float
    rays_with_truth: int


def street(seed: int) -> Tensor:
    """Ground, house fronts with gaps on both sides, and 25 boxes the size of cars; uint8 ids."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.full(OCC3D_GRID.shape, FREE_ID, dtype=torch.uint8)
    labels[..., :2] = DRIVEABLE
    for start in range(0, 200, 20):
        depth = int(torch.randint(40, 70, (1,), generator=generator))
        labels[start : start + 16, :depth] = MANMADE
        labels[start : start + 16, 200 - depth :] = MANMADE
    for _ in range(25):
        x, y = torch.randint(0, 190, (2,), generator=generator).tolist()
        labels[x : x + 11, y : y + 5, 2:6] = CAR
    # The vehicle itself stands somewhere free.
    labels[60:140, 92:108, 2:] = FREE_ID
    return labels


def measure(
    scene: str, prediction: Tensor, truth: Tensor, device: torch.device, repeats: int
) -> Timing:
    prediction, truth = prediction.to(device), truth.to(device)
    along = (torch.arange(ORIGINS) - ORIGINS // 2) * ORIGIN_SPACING_M
    origins = torch.stack([along, along / 100, torch.full((ORIGINS,), ORIGIN_HEIGHT_M)], 1)
    times = []
    rays = 0
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    for _ in range(repeats + 2):
        begin = time.perf_counter()
        counts = count_sample(prediction, truth, origins)
        # Reading the result waits for the device.
        rays = int(counts.truth.sum())
        times.append(1e3 * (time.perf_counter() - begin))
    times = times[2:]
    return Timing(
        scene=scene,
        median_ms=statistics.median(times),
        fastest_ms=min(times),
        slowest_ms=max(times),
        peak_memory_mib=peak_memory_mib(device),
        rays_with_truth=rays,
    )


def peak_memory_mib(device: torch.device) -> float:
    """Most memory held so far: by tensors on a GPU, by the whole process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [
            ln.split(":", 1)[1] for ln in cpuinfo.read_text().splitlines() if "model name" in ln
        ]
        model = names[0].strip() if names else model
    return f"{model}, {torch.get_num_threads()} threads"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")
    parser.add_argument("--repeats", type=int, default=10, help="measured runs (default: 10)")
    parser.add_argument("--threads", type=int, help="CPU threads (default: torch's choice)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    given = parser.parse_args(arguments)
    for name in ("repeats", "threads"):
        value = getattr(given, name)
        if value is not None and value < 1:
            return report_bad_input(f"--{name} must be at least 1, got {value}")
    try:
        device = torch.device(given.device)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        return report_bad_input(f"--device {given.device} cannot be used: {reason}")
    if given.threads:
        torch.set_num_threads(given.threads)

    empty = torch.full(OCC3D_GRID.shape, FREE_ID, dtype=torch.uint8)
    timings = [
        measure("street", street(1), street(0), device, given.repeats),
        measure("empty", empty, empty, device, given.repeats),
    ]
    date = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    print(f"RayIoU of one sample, {ORIGINS} x 14040 rays, two grids")
    print(f"{device_name(device)}; torch {torch.__version__}; {date}; median of {given.repeats}")
    print(f"{'scene':10}{'median ms':>12}{'fastest':>10}{'slowest':>10}{'peak MiB':>10}")
    for row in timings:
        print(
            f"{row.scene:10}{row.median_ms:12.1f}{row.fastest_ms:10.1f}{row.slowest_ms:10.1f}"
            f"{row.peak_memory_mib:10.0f}"
        )
    if given.json:
        report = {
            "device": device_name(device),
            "torch": torch.__version__,
            "date": date,
            "repeats": given.repeats,
            "scenes": [asdict(row) for row in timings],
        }
        try:
            given.json.write_text(json.dumps(report, indent=2) + "\n")
        except OSError as error:
            return report_bad_input(f"--json {given.json} cannot be written: {error.strerror}")
    return 0


def report_bad_input(message: str) -> int:
    print(f"ray_iou: error: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
