"""A drive as an animated GIF: the cameras, and the prediction above the truth."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image
from torch import Tensor

from gfocc_core.atomic_file import write_atomically
from gfocc_core.frame import Frame
from gfocc_core.grid import VoxelGrid
from gfocc_core.report.birds_eye import draw_birds_eye
from gfocc_core.report.camera_tiles import camera_rows, draw_camera, tile_height
from gfocc_core.report.chase_view import draw_chase_view
from gfocc_core.report.snapshot import Snapshot
from gfocc_core.report.style import BODY, INK, MUTED, PAPER, percent, tag, write

WIDTH = 864
PANEL_HEIGHT = 264
GAP = 6
MAX_BYTES = 8_000_000
_HEAD = 34
_SCALES = (1.0, 0.85, 0.7, 0.55, 0.4)
_PALETTE_SAMPLES = 6


def draw_animation_frame(snapshot: Snapshot, grid: VoxelGrid, note: str = "") -> Image.Image:
    """One picture of the animation; all snapshots of a drive give the same size."""
    parts = [] if snapshot.frame is None else [_camera_mosaic(snapshot.frame)]
    compared = snapshot.comparison
    if compared is None:
        parts.append(_panel("prediction", snapshot.labels, grid, None))
    else:
        truth = compared.truth
        parts.append(_panel("prediction", compared.prediction, grid, None))
        parts.append(_panel("ground truth", truth.semantics, grid, truth.mask_camera))
    height = _HEAD + sum(part.height + GAP for part in parts)
    picture = Image.new("RGB", (WIDTH, height), PAPER)
    write(picture, (GAP + 2, _HEAD / 2), snapshot.title, BODY + 1, INK, "lm")
    write(picture, (WIDTH - GAP - 2, _HEAD / 2), _aside(snapshot, note), BODY, MUTED, "rm")
    top = _HEAD
    for part in parts:
        picture.paste(part, ((WIDTH - part.width) // 2, top))
        top += part.height + GAP
    return picture


def write_animation(path: Path, pictures: Sequence[Image.Image], seconds_each: float) -> None:
    """Write pictures of one size as a GIF that loops; shrinks them until the file is small enough.

    Args:
        path: file to write, atomically.
        pictures: in order.
        seconds_each: how long each one stands.

    Raises:
        ValueError: no picture, or not all of one size.
    """
    if not pictures:
        raise ValueError("pictures is empty: an animation needs at least one")
    if len({picture.size for picture in pictures}) > 1:
        raise ValueError(f"pictures must have one size, got {sorted({p.size for p in pictures})}")
    for scale in _SCALES:
        content = _encode([_resized(p, scale) for p in pictures], seconds_each)
        if len(content) <= MAX_BYTES:
            break
    write_atomically(path, lambda stream: stream.write(content))


def _camera_mosaic(frame: Frame) -> Image.Image:
    rows = camera_rows(frame.rig)
    columns = max(len(row) for row in rows)
    tile_width = (WIDTH - (columns - 1) * GAP) // columns
    height = tile_height(frame, tile_width)
    mosaic = Image.new("RGB", (WIDTH, len(rows) * (height + GAP) - GAP), PAPER)
    for index, row in enumerate(rows):
        inset = (columns - len(row)) * (tile_width + GAP) // 2
        for column, camera in enumerate(row):
            left = inset + column * (tile_width + GAP)
            mosaic.paste(draw_camera(frame, camera, tile_width), (left, index * (height + GAP)))
    return mosaic


def _panel(name: str, labels: Tensor, grid: VoxelGrid, seen: Tensor | None) -> Image.Image:
    above = draw_birds_eye(labels, grid, PANEL_HEIGHT, seen)
    width = WIDTH - above.width - GAP
    behind = draw_chase_view(labels, grid, (PANEL_HEIGHT, width), seen)
    tag(behind, (10, 8), name, BODY)
    panel = Image.new("RGB", (WIDTH, PANEL_HEIGHT), PAPER)
    panel.paste(behind, (0, 0))
    panel.paste(above, (width + GAP, 0))
    return panel


def _aside(snapshot: Snapshot, note: str) -> str:
    if snapshot.comparison is None:
        return note
    scores = snapshot.comparison.counts.headline()
    numbers = f"mIoU {percent(scores.miou)}   IoU {percent(scores.iou)}"
    return f"{note}   {numbers}" if note else numbers


def _resized(picture: Image.Image, scale: float) -> Image.Image:
    if scale == 1:
        return picture
    size = (round(picture.width * scale), round(picture.height * scale))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _encode(pictures: Sequence[Image.Image], seconds_each: float) -> bytes:
    """One palette for all pictures: no flicker, and what does not change costs nothing."""
    step = -(-len(pictures) // _PALETTE_SAMPLES)
    palette = _stacked(pictures[::step]).quantize(256, Image.Quantize.MEDIANCUT)
    flat = [p.quantize(palette=palette, dither=Image.Dither.NONE) for p in pictures]
    stream = io.BytesIO()
    flat[0].save(
        stream,
        "GIF",
        save_all=True,
        append_images=flat[1:],
        duration=max(20, round(seconds_each * 100) * 10),
        loop=0,
        optimize=False,
    )
    return stream.getvalue()


def _stacked(pictures: Iterable[Image.Image]) -> Image.Image:
    thumbnails = [
        p.resize((p.width // 2, p.height // 2), Image.Resampling.NEAREST) for p in pictures
    ]
    width, height = thumbnails[0].size
    stack = Image.new("RGB", (width, height * len(thumbnails)))
    for index, thumbnail in enumerate(thumbnails):
        stack.paste(thumbnail, (0, index * height))
    return stack
