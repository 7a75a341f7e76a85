#!/usr/bin/env python3
"""Can the network learn a keyframe by heart? Train on one, then compare renders and voxels with it.

Goes through the training command itself. Prints a table and, with --json, one JSON object as the
last line; --picture draws the loss curve.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import lightning
import torch
from PIL import Image, ImageDraw
from torch.utils.data import default_collate

from gfocc_core.config import preset
from gfocc_core.data.augmentation import NO_AUGMENTATION
from gfocc_core.data.index import SceneIndex
from gfocc_core.data.label_store import LabelStore
from gfocc_core.data.occ3d import occ3d_path, read_occ3d
from gfocc_core.data.training_dataset import TrainingDataset
from gfocc_core.metrics.iou import CONVENTION_B, confusion_matrix, occupancy_scores
from gfocc_core.training.losses import LossConfig, drop_far_labels
from gfocc_core.training.module import OccupancyLearner
from gfocc_core.training.schedule import OptimizerConfig
from gfocc_core.training.unroll import run_clip
from gfocc_core.voxelizer import voxelize_labels


@dataclass(frozen=True)
class Fit:
    """How well the network knows the keyframe."""

    pixel_accuracy: float
    """Share of labelled pixels whose rendered class is right."""
    depth_error: float
    """Median |rendered - label| depth over pixels with a depth label, metres."""
    voxel_iou: float
    """Occupied-or-free IoU of predicted voxels against labels.npz under mask_lidar, per cent."""


class StepRecorder(lightning.Callback):
    """Loss and wall time of every step."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.seconds: list[float] = []
        self._began = 0.0

    def on_train_batch_start(self, *_: object) -> None:
        self._began = time.perf_counter()

    def on_train_batch_end(
        self, trainer: object, module: object, outputs: object, *_: object
    ) -> None:
        self.losses.append(float(outputs["loss"]))  # type: ignore[index]
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds.append(time.perf_counter() - self._began)


def main() -> int:
    arguments = _parse()
    torch.manual_seed(0)
    config = preset(arguments.preset)
    index = SceneIndex.load(arguments.index, arguments.dataroot)
    labels = LabelStore.open(arguments.labels)
    clips = TrainingDataset(
        index, labels, index.scenes[:1], config.image, NO_AUGMENTATION, history=0, renders=1
    )
    learner = OccupancyLearner(
        config,
        LossConfig(depth_weight=arguments.depth_weight),
        OptimizerConfig(
            learning_rate=arguments.learning_rate, warmup_steps=min(200, arguments.steps // 10)
        ),
    )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    batch = _to(default_collate([clips[0]]), device)
    scene = index.scenes[0]
    truth = occ3d_path(arguments.dataroot, scene, index.tokens[0])
    before = _evaluate(learner.to(device), batch, truth)
    recorder = StepRecorder()
    trainer = lightning.Trainer(
        max_steps=arguments.steps,
        precision=arguments.precision,
        gradient_clip_val=learner.optimizer.gradient_clip,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=sys.stderr.isatty(),
        enable_model_summary=False,
        callbacks=[recorder],
    )
    trainer.fit(learner, torch.utils.data.DataLoader(clips, batch_size=1))
    after = _evaluate(learner.to(device), batch, truth)
    report = _report(arguments, device, recorder, before, after)
    if arguments.picture:
        _draw_curve(recorder.losses).save(arguments.picture)
    if arguments.json:
        print(json.dumps(report))
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataroot", type=Path, required=True)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True, help="weak-label store")
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--depth-weight", type=float, default=LossConfig.depth_weight)
    parser.add_argument("--precision", default="32-true")
    parser.add_argument("--picture", type=Path, help="PNG of the loss curve")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


@torch.no_grad()
def _evaluate(learner: OccupancyLearner, batch: dict[str, object], truth: Path) -> Fit:
    learner.eval()
    gaussians = run_clip(learner.network, learner.clip(batch))
    rendered = learner.render(gaussians, batch)
    semantics, depth = drop_far_labels(
        batch["label_semantics"], batch["label_depth"], learner.loss.max_depth
    )
    labelled, measured = semantics != 0, depth > 0
    right = rendered.logits.argmax(-1)[labelled] + 1 == semantics[labelled]
    error = (rendered.depth - depth)[measured].abs().median()
    occupied = voxelize_labels(gaussians.item(0), learner.config.grid, learner.config.occupancy)[0]
    expected = read_occ3d(truth)
    learner.train()
    confusion = confusion_matrix(occupied.cpu(), expected.semantics, expected.mask_lidar)
    return Fit(
        float(right.float().mean()),
        float(error),
        float(occupancy_scores(confusion, CONVENTION_B).iou),
    )


def _report(
    arguments: argparse.Namespace,
    device: torch.device,
    recorder: StepRecorder,
    before: Fit,
    after: Fit,
) -> dict[str, object]:
    steady = sorted(recorder.seconds[len(recorder.seconds) // 5 :])
    report: dict[str, object] = {
        "preset": arguments.preset,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else platform.processor(),
        "date": datetime.now().date().isoformat(),
        "steps": arguments.steps,
        "precision": arguments.precision,
        "step_ms": 1e3 * steady[len(steady) // 2],
        "peak_gib": torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else None,
        "first_loss": recorder.losses[0],
        "last_loss": recorder.losses[-1],
        "before": vars(before),
        "after": vars(after),
    }
    for name, value in report.items():
        print(f"{name:12} {value}")
    return report


def _draw_curve(losses: list[float], size: tuple[int, int] = (900, 420)) -> Image.Image:
    """The loss over steps, logarithmic."""
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    logs = [math.log10(max(loss, 1e-6)) for loss in losses]
    low, high = math.floor(min(logs)), math.ceil(max(logs))
    left, top, right, bottom = 60, 20, size[0] - 20, size[1] - 40

    def point(step: int, value: float) -> tuple[float, float]:
        x = left + (right - left) * step / max(1, len(logs) - 1)
        return x, bottom - (bottom - top) * (value - low) / max(1, high - low)

    for decade in range(low, high + 1):
        y = point(0, decade)[1]
        draw.line([(left, y), (right, y)], fill=(220, 220, 220))
        draw.text((8, y - 6), f"1e{decade}", fill="black")
    draw.line([point(step, value) for step, value in enumerate(logs)], fill=(30, 90, 200), width=2)
    draw.text((left, bottom + 12), f"loss over {len(losses)} steps", fill="black")
    return picture


def _to(batch: dict[str, object], device: torch.device) -> dict[str, object]:
    return {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in batch.items()}


if __name__ == "__main__":
    sys.exit(main())
