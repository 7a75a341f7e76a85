"""The model card of a checkpoint: what it was trained on, how, and how well it does, in markdown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from gfocc_core.taxonomy import CLASS_NAMES, FREE_ID

Record = Mapping[str, Any]

ROWS: tuple[tuple[str, str], ...] = (
    ("model", "this checkpoint"),
    ("prior", "voxel prior"),
    ("untrained", "same network, untrained"),
)
"""Keys of record["scores"] and what the tables call them."""

HEADLINES: tuple[tuple[str, str], ...] = (
    ("mIoU A", "miou_a"),
    ("IoU A", "iou_a"),
    ("mIoU B", "miou_b"),
    ("IoU B", "iou_b"),
    ("RayIoU", "rayiou"),
    ("@1 m", "rayiou_1m"),
    ("@2 m", "rayiou_2m"),
    ("@4 m", "rayiou_4m"),
    ("RayIoU 15", "rayiou_15"),
    ("moving mIoU", "moving_miou"),
)

_PLACES = frozenset({"out", "dataroot", "index", "labels", "initial_weights"})


def model_card(record: Record) -> str:
    """Markdown of one record.

    Args:
        record: `title`; `description` (a paragraph); `checkpoint` (`file`, `bytes`, `sha256`);
            `training`, the summary.json of each run, each starting from the weights of the one
            before; `data`, the data set's settings by name; `scores`
            of the model, the prior and the untrained network, as evaluate.py writes them.

    Raises:
        ValueError: something of that is missing; the message says what.
    """
    try:
        return "\n".join(_lines(record)) + "\n"
    except KeyError as error:
        raise ValueError(f"the model card's record lacks {error}") from error


def _lines(record: Record) -> Iterator[str]:
    checkpoint, scores = record["checkpoint"], record["scores"]
    yield from (f"# {record['title']}", "", record["description"], "")
    yield f"`{checkpoint['file']}`, {checkpoint['bytes'] / 1e6:.1f} MB, sha256"
    yield from (f"`{checkpoint['sha256']}`.", "", "## Scores", "")
    yield f"{scores['model']['keyframes']} validation keyframes, per cent. Convention A leaves out"
    yield "others and other_flat (15 ids, camera-visible voxels), B nothing (17 ids); RayIoU: 17 ids,"
    yield "no mask, mean over 1, 2 and 4 m; moving: dynamic ids within 1 m of objects faster than"
    yield from ("0.5 m/s. All rows are scored by the same command on the same keyframes.", "")
    head = [heading for heading, _ in HEADLINES]
    rows = [[label, *_cells(scores[key], HEADLINES)] for key, label in ROWS]
    yield from _table(["", *head], rows)
    yield from ("", _comparison(scores), "", "### Per class", "")
    yield from _per_class(scores)
    yield from ("", "## Training", "")
    runs = record["training"]
    yield from _table(["", *(f"run {number + 1}" for number in range(len(runs)))], _training(runs))
    yield from ("", "## Data", "")
    yield from _table(
        ["", ""], [[name, _plain(value)] for name, value in _flat(without_places(record["data"]))]
    )
    configs = [without_places(run["config"]) for run in runs]
    yield from ("", "## Configuration", "", "```json", json.dumps(configs[0], indent=1), "```")
    for number, (before, after) in enumerate(pairwise(configs), 2):
        yield from ("", f"Run {number} differs from the one before in", "")
        yield from _table(["", ""], _changes(before, after))


def _comparison(scores: Record) -> str:
    model, prior = scores["model"], scores["prior"]
    parts = [
        f"{name} {model[field] / prior[field]:.1f} times"
        for name, field in (("mIoU A", "miou_a"), ("RayIoU", "rayiou"))
        if model[field] is not None and prior[field]
    ]
    return f"Against the prior: {' and '.join(parts) or 'not comparable'}."


def _per_class(scores: Record) -> Iterator[str]:
    head = ["class"]
    head += [f"IoU {letter}, {key}" for letter in "AB" for key, _ in ROWS]
    head += [f"RayIoU, {key}" for key, _ in ROWS]
    rows = []
    for class_id, name in enumerate(CLASS_NAMES[:FREE_ID]):
        values = [
            scores[key][f"per_class_{letter}"][class_id] for letter in "ab" for key, _ in ROWS
        ]
        values += [_mean(scores[key]["rayiou_per_class"], class_id) for key, _ in ROWS]
        rows.append([name, *map(_number, values)])
    yield from _table(head, rows)


def _mean(thresholds: Sequence[Sequence[float | None]], class_id: int) -> float | None:
    """Over the distance thresholds; None where no ray has the class."""
    values = [row[class_id] for row in thresholds]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _training(runs: Sequence[Record]) -> list[list[str]]:
    return [
        ["steps", *(str(run["steps"]) for run in runs)],
        ["clips per step", *(str(run["batch"]) for run in runs)],
        ["minutes", *(f"{run['minutes']:.1f}" for run in runs)],
        ["device", *(f"{run['processes']} x {run['device']}" for run in runs)],
        ["seed", *(str(run["config"]["run"]["seed"]) for run in runs)],
        ["date", *(run["date"] for run in runs)],
        ["torch", *(run["torch"] for run in runs)],
    ]


def _changes(before: Record, after: Record) -> list[list[str]]:
    old, new = dict(_flat(before)), dict(_flat(after))
    return [
        [name, f"{_plain(old.get(name))} -> {_plain(value)}"]
        for name, value in new.items()
        if old.get(name) != value
    ]


def _cells(scores: Record, columns: Sequence[tuple[str, str]]) -> list[str]:
    return [_number(scores[field]) for _, field in columns]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|---|" + ("---|" if len(head) == 2 else "---:|" * (len(head) - 1))
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def _flat(values: Record, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _plain(value: Any) -> str:
    """One table cell; a list of nested values only counts (a rig's cameras fill pages)."""
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return f"{len(value)}, see the record"
    return str(value).replace("|", "\\|").replace("\n", " ")


def without_places(values: Record) -> dict[str, Any]:
    """The same nested values without where things lay on the machine that made them."""
    return {
        name: without_places(value) if isinstance(value, Mapping) else value
        for name, value in values.items()
        if name not in _PLACES
    }
