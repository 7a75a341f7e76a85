"""The ablations' results as one markdown table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

COLUMNS: tuple[tuple[str, str], ...] = (
    ("mIoU", "miou_a"),
    ("IoU", "iou_a"),
    ("RayIoU", "rayiou"),
    ("dynamic", "miou_dynamic"),
    ("static", "miou_static"),
    ("moving mIoU", "moving_miou"),
    ("moving IoU", "moving_iou"),
    ("min", "minutes"),
    ("ms/frame", "frame_ms"),
)
"""Heading and field of a result."""

EXPLANATION = (
    "mIoU (15 ids) and IoU: convention A, camera-visible voxels; RayIoU: 17 ids, 1/2/4 m; dynamic "
    "and static: mean IoU of the ids that move by themselves and of the others; moving: voxels "
    "within 1 m of objects faster than 0.5 m/s; min: training time; ms/frame: median of one "
    "prediction, alone on the device."
)


def ablation_table(results: Sequence[Mapping[str, Any]], jobs: int) -> str:
    """Markdown; `results` as ablations.py writes them, the first one is the base."""
    first = results[0]
    lines = [
        f"Equal for all: {first['steps']} steps of {first['batch']} clips, the same training data, "
        f"seed and schedule, {first['keyframes']} validation keyframes of other scenes. "
        f"{first['device']}, {first['date']}, up to {jobs} at a time.",
        "",
        "| variant | " + " | ".join(heading for heading, _ in COLUMNS) + " |",
        "|---|" + "---:|" * len(COLUMNS),
    ]
    for result in results:
        cells = [_cell(result.get(field), field == "minutes") for _, field in COLUMNS]
        lines.append(f"| {result['variant']} | " + " | ".join(cells) + " |")
    lines += ["", EXPLANATION, ""]
    lines += [f"- {result['variant']}: {result['description']}" for result in results]
    return "\n".join(lines) + "\n"


def _cell(value: float | None, coarse: bool) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if coarse else f"{value:.2f}"
