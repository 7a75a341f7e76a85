"""One instant on one sheet: prediction beside truth, from above and in 3D, and what the front saw."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image, ImageDraw
from torch import Tensor

from gfocc_core.grid import VoxelGrid
from gfocc_core.metrics.iou import CONVENTION_A, occupancy_scores
from gfocc_core.metrics.sample_counts import Headline, SampleCounts
from gfocc_core.report.birds_eye import draw_birds_eye
from gfocc_core.report.camera_tiles import draw_camera, front_camera
from gfocc_core.report.chase_view import draw_chase_view
from gfocc_core.report.legend import ROW_HEIGHT, draw_legend_column
from gfocc_core.report.snapshot import Snapshot
from gfocc_core.report.style import (
    BODY,
    INK,
    MARGIN,
    MUTED,
    PAPER,
    SMALL,
    TITLE,
    percent,
    write,
)
from gfocc_core.taxonomy import FREE_ID

PANEL_SIZE = 600
CHASE_HEIGHT = 360
SIDE_WIDTH = 400
GAP = 16
_HEAD = 84
_CAPTION = 28
_SCORES_HEIGHT = 22 + 2 * ROW_HEIGHT + 18


@dataclass(frozen=True)
class DriveScores:
    """Scores of the whole drive, for the sheet's numbers."""

    keyframes: int
    prediction: SampleCounts
    prior: SampleCounts | None
    """Of the voxel prior on the same keyframes."""


def draw_comparison_sheet(
    snapshot: Snapshot, grid: VoxelGrid, drive: DriveScores | None = None, note: str = ""
) -> Image.Image:
    """Draw a snapshot; without truth only the prediction.

    Args:
        snapshot: what to show.
        grid: where the voxels lie.
        drive: scores that stand beside the snapshot's own.
        note: a remark for the subtitle.
    """
    panels = _panels(snapshot, grid)
    side_left = MARGIN + len(panels) * (PANEL_SIZE + GAP)
    width = side_left + SIDE_WIDTH + MARGIN
    side = _draw_side(snapshot, grid, drive)
    views_height = PANEL_SIZE + GAP + CHASE_HEIGHT
    height = _HEAD + _CAPTION + max(views_height, side.height) + MARGIN
    sheet = Image.new("RGB", (width, height), PAPER)
    sheet.paste(side, (side_left, _HEAD + _CAPTION))
    write(sheet, (MARGIN, 16), snapshot.title, TITLE)
    write(sheet, (MARGIN, 50), _subtitle(snapshot, note), BODY, MUTED)
    for index, (caption, above, behind) in enumerate(panels):
        left = MARGIN + index * (PANEL_SIZE + GAP)
        write(sheet, (left, _HEAD), caption, BODY, INK)
        sheet.paste(above, (left, _HEAD + _CAPTION))
        sheet.paste(behind, (left, _HEAD + _CAPTION + PANEL_SIZE + GAP))
    return sheet


def _panels(snapshot: Snapshot, grid: VoxelGrid) -> list[tuple[str, Image.Image, Image.Image]]:
    """Caption, view from above and view from behind, of the prediction and of the truth."""
    compared = snapshot.comparison
    if compared is None:
        return [("prediction", *_views(snapshot.labels, grid, None))]
    truth = compared.truth
    faded = "ground truth" if bool(truth.mask_camera.all()) else "ground truth (faded: unseen)"
    return [
        ("prediction", *_views(compared.prediction, grid, None)),
        (faded, *_views(truth.semantics, grid, truth.mask_camera)),
    ]


def _views(labels: Tensor, grid: VoxelGrid, seen: Tensor | None) -> tuple[Image.Image, Image.Image]:
    return (
        draw_birds_eye(labels, grid, PANEL_SIZE, seen),
        draw_chase_view(labels, grid, (CHASE_HEIGHT, PANEL_SIZE), seen),
    )


def _subtitle(snapshot: Snapshot, note: str) -> str:
    parts = []
    if snapshot.comparison is not None:
        parts.append(f"this keyframe: {_in_words(snapshot.comparison.counts.headline())}")
    if note:
        parts.append(note)
    return "  |  ".join(parts)


def _in_words(scores: Headline) -> str:
    return (
        f"mIoU {percent(scores.miou)}, IoU {percent(scores.iou)}, RayIoU {percent(scores.rayiou)}"
    )


def _draw_side(snapshot: Snapshot, grid: VoxelGrid, drive: DriveScores | None) -> Image.Image:
    """The front camera, the drive's numbers, and the legend with each class's score."""
    tiles = _front_tiles(snapshot, grid)
    used = sum(tile.height + GAP for tile in tiles)
    scores_height = 0 if drive is None else _SCORES_HEIGHT + ROW_HEIGHT
    height = used + scores_height + FREE_ID * ROW_HEIGHT + ROW_HEIGHT
    side = Image.new("RGB", (SIDE_WIDTH, height), PAPER)
    top = 0
    for tile in tiles:
        side.paste(tile, (0, top))
        top += tile.height + GAP
    per_class = None
    if drive is not None:
        _draw_scores(side, top, drive)
        top += _SCORES_HEIGHT
        per_class = occupancy_scores(drive.prediction.confusion, CONVENTION_A).per_class.tolist()
        write(side, (0, top), "class", SMALL, MUTED)
        write(side, (SIDE_WIDTH, top), "IoU over the drive", SMALL, MUTED, "ra")
        top += ROW_HEIGHT
    draw_legend_column(side, (0, top), SIDE_WIDTH, per_class)
    hint = "rings every 10 m, forward is up"
    write(side, (0, top + FREE_ID * ROW_HEIGHT + 6), hint, SMALL, MUTED)
    return side


def _front_tiles(snapshot: Snapshot, grid: VoxelGrid) -> list[Image.Image]:
    """The front camera, plain and with the prediction."""
    frame = snapshot.frame
    if frame is None:
        return []
    camera = front_camera(frame.rig)
    return [
        draw_camera(frame, camera, SIDE_WIDTH),
        draw_camera(frame, camera, SIDE_WIDTH, snapshot.labels, grid),
    ]


def _draw_scores(side: Image.Image, top: int, drive: DriveScores) -> None:
    """A small table, _SCORES_HEIGHT high."""
    columns = [round(SIDE_WIDTH * share) for share in (0.62, 0.8, 1.0)]
    rows = [("network", drive.prediction.headline())]
    if drive.prior is not None:
        rows.append(("voxel prior", drive.prior.headline()))
    write(side, (0, top), f"whole drive, {drive.keyframes} keyframes", SMALL, MUTED)
    for column, name in zip(columns, ("mIoU", "IoU", "RayIoU"), strict=True):
        write(side, (column, top), name, SMALL, MUTED, "ra")
    for index, (name, scores) in enumerate(rows):
        row = top + 22 + index * ROW_HEIGHT
        color = INK if index == 0 else MUTED
        write(side, (0, row), name, BODY + 1, color)
        values = (scores.miou, scores.iou, scores.rayiou)
        for column, value in zip(columns, values, strict=True):
            write(side, (column, row), percent(value), BODY + 1, color, "ra")
    bottom = top + _SCORES_HEIGHT - 10
    ImageDraw.Draw(side).line((0, bottom, SIDE_WIDTH, bottom), fill=(210, 212, 216))
