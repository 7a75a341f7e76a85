#!/usr/bin/env python3
"""Time and memory of one training step: history, forward, renders, backward, optimizer.

Data lies on the device already; `benchmarks/dataloader.py` measures how it gets there.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from generated_scene import GENERATED_VERSION, SCENE, write_dense_labels, write_generated_scene
from step_profile import ALL, StepProfile, profile_step
from torch.utils.data import default_collate

from gfocc_core.config import preset
from gfocc_core.data.index import SceneIndex
from gfocc_core.data.nuscenes_index import build_index
from gfocc_core.data.training_dataset import TrainingDataset
from gfocc_core.training.losses import LossConfig
from gfocc_core.training.module import OccupancyLearner
from gfocc_core.training.schedule import OptimizerConfig


def main() -> int:
    arguments = _parse()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config = preset(arguments.preset)
    with tempfile.TemporaryDirectory() as folder:
        root = write_generated_scene(Path(folder) / "data")
        index = SceneIndex(root, *build_index(root, GENERATED_VERSION))
        labels = write_dense_labels(Path(folder) / "labels", index)
        clips = TrainingDataset(index, labels, [SCENE], config.image)
        items = [clips[number % len(clips)] for number in range(arguments.batch)]
        batch = _to(default_collate(items), device)
    learner = OccupancyLearner(config, LossConfig(), OptimizerConfig()).to(device).train()
    optimizer = torch.optim.AdamW(learner.parameters(), lr=1e-4, weight_decay=1e-2)

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=arguments.bf16):
            loss = sum(learner.losses(batch).values())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learner.parameters(), 5.0)
        optimizer.step()

    seconds = []
    for number in range(arguments.warmup + arguments.steps):
        began = _now(device)
        step()
        if number >= arguments.warmup:
            seconds.append(_now(device) - began)
    report = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else platform.machine(),
        "torch": torch.__version__,
        "date": datetime.now().date().isoformat(),
        "preset": arguments.preset,
        "batch": arguments.batch,
        "precision": "bf16-mixed" if arguments.bf16 else "float32",
        "median_ms": 1e3 * statistics.median(seconds),
        "slowest_ms": 1e3 * max(seconds),
        "peak_gib": torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else None,
    }
    profiled: StepProfile | None = None
    if arguments.profile:
        profiled = profile_step(step, learner, device, arguments.profile)
    if arguments.json:
        print(json.dumps(report | ({"profile": asdict(profiled)} if profiled else {})))
        return 0
    for name, value in report.items():
        print(f"{name:12} {value}")
    if profiled:
        print(f"\nunder the profiler one step takes {profiled.wall:.0f} ms from end to end")
        _print_shares("stage", profiled.stages)
        _print_shares("operation", profiled.operations)
    return 0


def _print_shares(title: str, milliseconds: dict[str, float]) -> None:
    print(f"\n| {title} | ms | share |\n|---|---:|---:|")
    for name, taken in milliseconds.items():
        print(f"| {name} | {taken:.1f} | {taken / milliseconds[ALL]:.1%} |")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--warmup", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--bf16", action="store_true", help="bf16 mixed precision")
    parser.add_argument(
        "--profile",
        type=int,
        default=0,
        metavar="N",
        help="also the N longest operations of a step",
    )
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def _to(batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
    return {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in batch.items()}


if __name__ == "__main__":
    sys.exit(main())
