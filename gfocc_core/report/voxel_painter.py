"""Paint voxel faces as a pinhole camera sees them: the far ones first, the near ones over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gfocc_core.report.voxel_faces import VoxelFaces

_NEAREST = 0.2
"""Metres; a face with a corner nearer to the image plane than this is left out."""
_FRACTION_BITS = 4
_FARTHEST_PIXEL = 30_000
"""OpenCV's fixed-point coordinates end soon beyond."""


@dataclass(frozen=True)
class Pinhole:
    """A camera without distortion."""

    intrinsics: NDArray[np.float64]
    """[3, 3] pixels."""
    cam_from_grid: NDArray[np.float64]
    """[4, 4] into the optical frame (x right, y down, z forward)."""
    size: tuple[int, int]
    """(height, width) in pixels."""

    @property
    def eye(self) -> NDArray[np.float64]:
        """[3] the camera's place in the grid's frame, metres."""
        rotation, shift = self.cam_from_grid[:3, :3], self.cam_from_grid[:3, 3]
        return np.asarray(-rotation.T @ shift)

    @classmethod
    def looking_at(
        cls,
        eye: tuple[float, float, float],
        target: tuple[float, float, float],
        size: tuple[int, int],
        field_of_view: float,
    ) -> Pinhole:
        """A level camera at a point of the ego frame; vertical field of view in degrees."""
        forward = np.subtract(target, eye) / np.linalg.norm(np.subtract(target, eye))
        right = np.cross(forward, (0.0, 0.0, 1.0))
        right /= np.linalg.norm(right)
        pose = np.eye(4)
        pose[:3, :3] = np.stack([right, np.cross(forward, right), forward])
        pose[:3, 3] = -pose[:3, :3] @ eye
        height, width = size
        focal = height / 2 / np.tan(np.radians(field_of_view) / 2)
        matrix = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])
        return cls(matrix, pose, size)

    def scaled(self, factor: float) -> Pinhole:
        """The same view with this many times the pixels along each side."""
        matrix = np.diag([factor, factor, 1.0]) @ self.intrinsics
        height, width = (max(1, round(side * factor)) for side in self.size)
        return Pinhole(matrix, self.cam_from_grid, (height, width))


def paint_faces(faces: VoxelFaces, camera: Pinhole, farthest: float = np.inf) -> NDArray[np.uint8]:
    """RGBA [H, W, 4] of the faces on nothing; alpha is 255 where there is a face.

    Args:
        faces: from `faces_towards(camera.eye, ...)`.
        camera: how they are looked at.
        farthest: metres along the optical axis beyond which faces are left out.
    """
    pixels, depth = _project(faces.corners, camera)
    height, width = camera.size
    low, high = pixels.min(1), pixels.max(1)
    shown = (depth.min(1) > _NEAREST) & (depth.max(1) < farthest)
    shown &= (high > 0).all(1) & (low[:, 0] < width) & (low[:, 1] < height)
    shown &= (np.abs(pixels) < _FARTHEST_PIXEL).all((1, 2))
    middle = np.linalg.norm(faces.corners[shown].mean(1) - camera.eye, axis=1)
    order = np.flatnonzero(shown)[np.argsort(-middle)]
    fixed = np.round(pixels[order] * (1 << _FRACTION_BITS)).astype(np.int32)
    colors = np.pad(faces.colors[order], ((0, 0), (0, 1)), constant_values=255).tolist()
    canvas = np.zeros((height, width, 4), np.uint8)
    for quad, color in zip(fixed, colors, strict=True):
        cv2.fillConvexPoly(canvas, quad, color, cv2.LINE_8, _FRACTION_BITS)
    return canvas


def smooth(painted: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A larger painting shrunk to (height, width), colours weighted by their alpha."""
    alpha = painted[..., 3:].astype(np.float32) / 255
    premultiplied = np.concatenate([painted[..., :3] * alpha, painted[..., 3:]], -1)
    small = cv2.resize(premultiplied.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA)
    colors = small[..., :3] / np.maximum(small[..., 3:] / 255, 1e-6)
    return np.concatenate([colors, small[..., 3:]], -1).clip(0, 255).astype(np.uint8)


def lay_over(
    picture: NDArray[np.uint8], painted: NDArray[np.uint8], opacity: float = 1.0
) -> NDArray[np.uint8]:
    """A painting (RGBA) over a picture (RGB) of the same size."""
    alpha = painted[..., 3:].astype(np.float32) * (opacity / 255)
    mixed: NDArray[Any] = picture * (1 - alpha) + painted[..., :3] * alpha
    return np.round(mixed).astype(np.uint8)


def _project(
    corners: NDArray[np.float32], camera: Pinhole
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Pixel positions [F, 4, 2] and depths [F, 4]."""
    matrix = (camera.intrinsics @ camera.cam_from_grid[:3]).astype(np.float32)
    on_image = corners @ matrix[:, :3].T + matrix[:, 3]
    depth = on_image[..., 2]
    return on_image[..., :2] / np.maximum(depth, _NEAREST / 2)[..., None] - 0.5, depth
