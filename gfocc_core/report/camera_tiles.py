"""A frame's cameras as tiles of one width, arranged as the cameras look around the vehicle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from gfocc_core.frame import Frame
from gfocc_core.geometry import CameraRig, invert_transform
from gfocc_core.grid import VoxelGrid
from gfocc_core.report.style import PANEL, tag
from gfocc_core.report.voxel_faces import faces_towards
from gfocc_core.report.voxel_painter import Pinhole, lay_over, paint_faces, smooth

MAX_DISTANCE = 45.0
"""Voxels farther along the optical axis than this many metres are not drawn."""
OPACITY = 0.58
_BACKWARD = -0.17
"""A camera whose axis points back more than this (the sine of 10 degrees) stands in the second row."""
_OVERSAMPLING = 2.0


def camera_rows(rig: CameraRig) -> tuple[tuple[int, ...], ...]:
    """Indices of the cameras: those that look ahead or aside, then those that look back.

    In each row the vehicle's left is on the left.
    """
    axes = rig.ego_from_cam[:, :3, 2].double().tolist()
    from_left = sorted(range(len(axes)), key=lambda camera: -axes[camera][1])
    ahead = tuple(camera for camera in from_left if axes[camera][0] >= _BACKWARD)
    back = tuple(camera for camera in from_left if axes[camera][0] < _BACKWARD)
    return tuple(row for row in (ahead, back) if row)


def front_camera(rig: CameraRig) -> int:
    """The camera whose axis points ahead most."""
    return int(rig.ego_from_cam[:, 0, 2].argmax())


def tile_height(frame: Frame, width: int) -> int:
    """Height that holds every camera's tile of a width."""
    sizes = [size for size, valid in zip(frame.rig.image_sizes, frame.valid, strict=True) if valid]
    return max(max(1, round(width * height / across)) for height, across in sizes)


def draw_camera(
    frame: Frame,
    camera: int,
    width: int,
    labels: Tensor | None = None,
    grid: VoxelGrid | None = None,
) -> Image.Image:
    """A camera's image with its name; with labels ([X, Y, Z]) their voxels lie over it."""
    name = frame.rig.names[camera].replace("_", " ").lower()
    if not frame.valid[camera]:
        tile = Image.new("RGB", (width, tile_height(frame, width)), PANEL)
        tag(tile, (10, 8), f"{name}: no image")
        return tile
    height, across = frame.rig.image_sizes[camera]
    size = (width, max(1, round(width * height / across)))
    image = Image.fromarray(frame.images[camera].cpu().numpy())
    tile = image.resize(size, Image.Resampling.LANCZOS)
    if labels is not None and grid is not None:
        painted = _paint_voxels(frame.rig, camera, labels.cpu().numpy(), grid, size)
        tile = Image.fromarray(lay_over(np.asarray(tile), painted, OPACITY))
    tag(tile, (10, 8), name)
    return tile


def _paint_voxels(
    rig: CameraRig,
    camera: int,
    labels: NDArray[np.uint8],
    grid: VoxelGrid,
    size: tuple[int, int],
) -> NDArray[np.uint8]:
    """RGBA [H, W, 4] of the voxels that the camera sees."""
    full = Pinhole(
        rig.intrinsics[camera].double().cpu().numpy(),
        invert_transform(rig.ego_from_cam[camera].double()).cpu().numpy(),
        rig.image_sizes[camera],
    )
    view = full.scaled(_OVERSAMPLING * size[0] / rig.image_sizes[camera][1])
    faces = faces_towards(view.eye, labels, grid)
    return smooth(paint_faces(faces, view, MAX_DISTANCE), (size[1], size[0]))
