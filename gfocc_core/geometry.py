"""Rigid transforms, quaternions, and how cameras see points.

Conventions: `a_from_b` (4x4) maps points of frame b into frame a; quaternions are
wxyz; the ego frame is REP-103 (x forward, y left, z up), a camera frame is optical
(x right, y down, z forward); metres and pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

DEPTH_EPSILON = 1e-4
"""Added to the depth before dividing by it (ALGORITHM 3.6: part of the trained model)."""
MIN_DEPTH = 0.01
"""A point nearer to the image plane than this (metres) is not visible."""


def matrix_from_quaternion(quaternion: Tensor) -> Tensor:
    """Rotation matrices [..., 3, 3] of quaternions wxyz [..., 4]; these are normalised first."""
    w, x, y, z = torch.nn.functional.normalize(quaternion, dim=-1).unbind(-1)
    rows = (
        1 - 2 * (y * y + z * z),
        2 * (x * y - w * z),
        2 * (x * z + w * y),
        2 * (x * y + w * z),
        1 - 2 * (x * x + z * z),
        2 * (y * z - w * x),
        2 * (x * z - w * y),
        2 * (y * z + w * x),
        1 - 2 * (x * x + y * y),
    )
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def transform_from(translation: Tensor, quaternion: Tensor) -> Tensor:
    """4x4 transforms [..., 4, 4] from translations [..., 3] (m) and quaternions wxyz [..., 4]."""
    matrix = torch.zeros(
        *translation.shape[:-1], 4, 4, dtype=translation.dtype, device=translation.device
    )
    matrix[..., :3, :3] = matrix_from_quaternion(quaternion)
    matrix[..., :3, 3] = translation
    matrix[..., 3, 3] = 1
    return matrix


def invert_transform(a_from_b: Tensor) -> Tensor:
    """`b_from_a` of rigid transforms [..., 4, 4]."""
    b_from_a = a_from_b.clone()
    rotation = a_from_b[..., :3, :3].transpose(-1, -2)
    b_from_a[..., :3, :3] = rotation
    b_from_a[..., :3, 3] = -(rotation @ a_from_b[..., :3, 3:]).squeeze(-1)
    return b_from_a


def transform_points(a_from_b: Tensor, points: Tensor) -> Tensor:
    """Map points [..., N, 3] of frame b into frame a by transforms [..., 4, 4]."""
    return points @ a_from_b[..., :3, :3].transpose(-1, -2) + a_from_b[..., None, :3, 3]


def compose_ego_from_cam(
    global_from_ego: Tensor, global_from_ego_at_cam: Tensor, ego_at_cam_from_cam: Tensor
) -> Tensor:
    """Camera pose in the reference ego frame when camera and reference differ in time.

    `inv(global_from_ego) @ global_from_ego_at_cam @ ego_at_cam_from_cam`, all [..., 4, 4];
    give float64, since global coordinates are kilometres and the answer is needed to millimetres.
    """
    return invert_transform(global_from_ego) @ global_from_ego_at_cam @ ego_at_cam_from_cam


@dataclass(frozen=True)
class CameraRig:
    """The calibrated cameras of one frame, each posed at its own stamp in the reference ego frame."""

    names: tuple[str, ...]
    intrinsics: Tensor
    """[C, 3, 3] pinhole matrices in pixels of the full-size image."""
    ego_from_cam: Tensor
    """[C, 4, 4] poses in the reference ego frame."""
    image_sizes: tuple[tuple[int, int], ...]
    """(height, width) of each camera's image in pixels."""

    def __post_init__(self) -> None:
        count = len(self.names)
        if count == 0:
            raise ValueError("rig.names is empty: a rig needs at least one camera")
        if tuple(self.intrinsics.shape) != (count, 3, 3):
            raise ValueError(
                f"rig.intrinsics must be [{count}, 3, 3], got {list(self.intrinsics.shape)}"
            )
        if tuple(self.ego_from_cam.shape) != (count, 4, 4):
            raise ValueError(
                f"rig.ego_from_cam must be [{count}, 4, 4], got {list(self.ego_from_cam.shape)}"
            )
        if len(self.image_sizes) != count:
            raise ValueError(
                f"rig.image_sizes must have {count} entries, got {len(self.image_sizes)}"
            )

    def __len__(self) -> int:
        return len(self.names)

    def to(self, device: torch.device | str) -> CameraRig:
        return replace(
            self,
            intrinsics=self.intrinsics.to(device),
            ego_from_cam=self.ego_from_cam.to(device),
        )


@dataclass(frozen=True)
class CameraView:
    """How ego points become pixels of the network's input: `(u, v) = A (K p)_xy / z + t`."""

    cam_from_ego: Tensor
    """[..., C, 4, 4]"""
    intrinsics: Tensor
    """[..., C, 3, 3] in pixels of the full-size image."""
    affine: Tensor
    """[..., C, 2, 2] the A of the resize, crop and rotation that made the input."""
    shift: Tensor
    """[..., C, 2] the t of it, in input pixels."""
    valid: Tensor
    """[..., C] bool; a camera that is False sees nothing."""
    size: tuple[int, int]
    """(height, width) of the input in pixels, shared by all cameras."""

    def to(self, device: torch.device | str) -> CameraView:
        moved = {
            name: getattr(self, name).to(device)
            for name in ("cam_from_ego", "intrinsics", "affine", "shift", "valid")
        }
        return replace(self, **moved)

    def project(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Project ego points into every camera.

        Args:
            points: [..., N, 3] metres.

        Returns:
            Positions [..., C, N, 2] as fractions of the input's width and height, and
            visibility [..., C, N] (in front of the camera, inside the input, camera valid).

        Computes in float32 under autocast too: half precision would miss by pixels.
        """
        with torch.autocast(points.device.type, enabled=False):
            return self._project(points)

    def _project(self, points: Tensor) -> tuple[Tensor, Tensor]:
        in_camera = _times(self.cam_from_ego[..., :3, :3], points.unsqueeze(-3))
        in_camera = in_camera + self.cam_from_ego[..., None, :3, 3]
        depth = in_camera[..., 2:]
        pixels = _times(self.intrinsics[..., :2, :], in_camera) / (depth + DEPTH_EPSILON)
        pixels = _times(self.affine, pixels) + self.shift.unsqueeze(-2)
        height, width = self.size
        position = torch.stack([pixels[..., 0] / width, pixels[..., 1] / height], -1)
        inside = ((position > 0) & (position < 1)).all(-1)
        visible = inside & (depth.squeeze(-1) > MIN_DEPTH) & self.valid.unsqueeze(-1)
        return position, visible


def _times(matrix: Tensor, points: Tensor) -> Tensor:
    """Matrices [..., R, K] times points [..., N, K] as sums of products: [..., N, R].

    A matrix product of three columns leaves nearly all of a GPU idle, and compilers cannot melt it
    into what surrounds it.
    """
    first, *others = (
        points[..., k, None] * matrix[..., None, :, k] for k in range(matrix.shape[-1])
    )
    return sum(others, first)
