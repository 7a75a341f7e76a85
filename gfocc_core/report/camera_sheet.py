"""All cameras of a frame as they look around the vehicle, each plain and with the prediction."""

from __future__ import annotations

from PIL import Image
from torch import Tensor

from gfocc_core.frame import Frame
from gfocc_core.grid import VoxelGrid
from gfocc_core.report.camera_tiles import camera_rows, draw_camera, tile_height
from gfocc_core.report.legend import draw_legend_lines
from gfocc_core.report.style import BODY, MARGIN, MUTED, PAPER, TITLE, write

TILE_WIDTH = 560
GAP = 8
_HEAD = 78
_FOOT = 72


def draw_camera_sheet(
    frame: Frame, labels: Tensor, grid: VoxelGrid, title: str = "", note: str = ""
) -> Image.Image:
    """Draw a frame's cameras; below each image the same with the voxels of labels [X, Y, Z]."""
    rows = camera_rows(frame.rig)
    columns = max(len(row) for row in rows)
    height = tile_height(frame, TILE_WIDTH)
    pitch = TILE_WIDTH + GAP
    width = 2 * MARGIN + columns * pitch - GAP
    row_height = 2 * height + GAP + 2 * GAP
    sheet = Image.new("RGB", (width, _HEAD + len(rows) * row_height + _FOOT), PAPER)
    write(sheet, (MARGIN, 16), title, TITLE)
    subtitle = "camera images, and the predicted voxels where each camera sees them"
    write(sheet, (MARGIN, 48), f"{subtitle}  |  {note}" if note else subtitle, BODY, MUTED)
    for index, row in enumerate(rows):
        top = _HEAD + index * row_height
        inset = MARGIN + (columns - len(row)) * pitch // 2
        for column, camera in enumerate(row):
            left = inset + column * pitch
            sheet.paste(draw_camera(frame, camera, TILE_WIDTH), (left, top))
            overlay = draw_camera(frame, camera, TILE_WIDTH, labels, grid)
            sheet.paste(overlay, (left, top + height + GAP))
    draw_legend_lines(sheet, (MARGIN, sheet.height - _FOOT + 10), width - 2 * MARGIN)
    return sheet
