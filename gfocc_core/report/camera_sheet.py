"""The camera images side by side, with the occupied voxels drawn where each camera sees them."""

from __future__ import annotations

import math

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from gfocc_core.frame import Frame
from gfocc_core.geometry import CameraView, invert_transform
from gfocc_core.grid import VoxelGrid
from gfocc_core.taxonomy import COLORS, FREE_ID

TILE_WIDTH = 640
MAX_DISTANCE = 40.0
"""Voxels farther from the camera than this many metres are not drawn."""


def draw_camera_sheet(frame: Frame, labels: Tensor, grid: VoxelGrid) -> Image.Image:
    """Tile a frame's cameras, three a row, each with the occupied voxels of labels [X, Y, Z]."""
    tiles = [_draw_camera(frame, camera, labels, grid) for camera in range(len(frame.rig))]
    columns = min(3, len(tiles))
    rows = math.ceil(len(tiles) / columns)
    height = max(tile.height for tile in tiles)
    sheet = Image.new("RGB", (columns * TILE_WIDTH, rows * height))
    for index, tile in enumerate(tiles):
        sheet.paste(tile, ((index % columns) * TILE_WIDTH, (index // columns) * height))
    return sheet


def _draw_camera(frame: Frame, camera: int, labels: Tensor, grid: VoxelGrid) -> Image.Image:
    height, width = frame.rig.image_sizes[camera]
    scale = TILE_WIDTH / width
    size = (TILE_WIDTH, max(1, round(height * scale)))
    if frame.valid[camera]:
        tile = Image.fromarray(frame.images[camera].cpu().numpy()).resize(size)
        overlay = tile.copy()
        _draw_voxels(ImageDraw.Draw(overlay), frame, camera, labels, grid, scale)
        tile = Image.blend(tile, overlay, 0.6)
        caption = frame.rig.names[camera]
    else:
        tile = Image.new("RGB", size)
        caption = f"{frame.rig.names[camera]}: no image"
    draw = ImageDraw.Draw(tile)
    font = ImageFont.load_default(16)
    draw.rectangle(draw.textbbox((8, 6), caption, font=font), fill=(0, 0, 0))
    draw.text((8, 6), caption, fill=(255, 255, 255), font=font)
    return tile


def _draw_voxels(
    draw: ImageDraw.ImageDraw,
    frame: Frame,
    camera: int,
    labels: Tensor,
    grid: VoxelGrid,
    scale: float,
) -> None:
    """Squares as large as a voxel looks, far ones first so that near ones cover them."""
    index = (labels != FREE_ID).nonzero()
    centers = grid.centers_of(index)
    ids = labels[tuple(index.T)].long()
    view = _tile_view(frame, camera, scale)
    position, visible = view.project(centers.cpu())
    distance = (centers.cpu() - frame.rig.ego_from_cam[camera, :3, 3].float().cpu()).norm(dim=-1)
    shown = visible[0] & (distance < MAX_DISTANCE)
    order = distance[shown].argsort(descending=True)
    pixels = (position[0][shown] * torch.tensor([view.size[1], view.size[0]]))[order].numpy()
    focal = float(frame.rig.intrinsics[camera, 0, 0]) * scale
    radius = 0.35 * grid.voxel_size * focal / distance[shown][order].numpy()
    boxes = np.concatenate([pixels - radius[:, None], pixels + radius[:, None]], 1)
    for box, class_id in zip(boxes.tolist(), ids.cpu()[shown][order].tolist(), strict=True):
        draw.rectangle(box, fill=COLORS[class_id])


def _tile_view(frame: Frame, camera: int, scale: float) -> CameraView:
    """The whole image, scaled to the tile."""
    height, width = frame.rig.image_sizes[camera]
    return CameraView(
        cam_from_ego=invert_transform(frame.rig.ego_from_cam[camera : camera + 1].float().cpu()),
        intrinsics=frame.rig.intrinsics[camera : camera + 1].float().cpu(),
        affine=(torch.eye(2) * scale)[None],
        shift=torch.zeros(1, 2),
        valid=torch.ones(1, dtype=torch.bool),
        size=(round(height * scale), round(width * scale)),
    )
