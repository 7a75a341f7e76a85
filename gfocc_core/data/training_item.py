"""What one training item holds; for the data set that makes it and the training that takes it."""

from __future__ import annotations

from typing import TypedDict

from torch import Tensor
from typing_extensions import NotRequired


class TrainingItem(TypedDict):
    """T frames (the oldest first, the current one last), C cameras, S rendered steps."""

    images: Tensor
    """uint8 [T, C, 3, H, W] RGB on the network's raster, augmented; black where not valid."""
    camera_valid: Tensor
    """bool [T, C]"""
    ego_from_cam: Tensor
    """float32 [T, C, 4, 4], each in the reference ego of its own frame."""
    intrinsics: Tensor
    """float32 [T, C, 3, 3] in pixels of the full-size image."""
    affine: Tensor
    """float32 [C, 2, 2] full-size pixels -> input pixels, one for all T: `A p + t`."""
    shift: Tensor
    """float32 [C, 2]"""
    color: Tensor
    """float32 [3, 4] map of RGB (0 to 255) that the images have yet to go through."""
    global_from_ego: Tensor
    """float64 [T, 4, 4]"""
    steps: Tensor
    """int64 [S] keyframes from now, the first one 0."""
    label_semantics: Tensor
    """uint8 [S, C, h, w]; 0 is no label."""
    label_depth: Tensor
    """float32 [S, C, h, w] metres; 0 is no label."""
    label_valid: Tensor
    """bool [S]; False where the keyframe has no labels (then all zeros)."""
    label_ego_from_cam: Tensor
    """float32 [S, C, 4, 4] cameras of each step in the CURRENT reference ego."""
    label_intrinsics: Tensor
    """float32 [S, C, 3, 3] in pixels of the label raster."""
    token: str
    scene: str
    occ3d_semantics: NotRequired[Tensor]
    """uint8 [X, Y, Z] (only with occ3d=True)."""
    occ3d_mask: NotRequired[Tensor]
    """bool [X, Y, Z] voxels that some camera sees; all False where there is no labels.npz."""
