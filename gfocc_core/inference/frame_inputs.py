"""The fixed places on the device where everything that enters a frame is written.

A captured graph reads the same addresses in every frame; so does the eager program, for tests.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gfocc_core.config import Config
from gfocc_core.frame import Frame
from gfocc_core.geometry import CameraView, transform_points
from gfocc_core.inference.image_upload import ImageUpload
from gfocc_core.inference.resize import pack_images, plan_resize, resize_images
from gfocc_core.model import Memory
from gfocc_core.preprocess import camera_view
from gfocc_core.temporal import TemporalState, ego_motion

_VIEW_PARTS = (16, 9, 4, 2, 1)
"""Numbers per camera: cam_from_ego, intrinsics, affine, shift, valid."""

Sizes = tuple[tuple[int, int], ...]


class FrameInputs:
    """Device buffers for frames of one rig: images, geometry and memory.

    Only rows that the crop keeps travel. A frame must not be loaded before the device has finished
    the previous one.
    """

    def __init__(self, sizes: Sizes, config: Config, device: torch.device) -> None:
        self._sizes, self._image = sizes, config.image
        pinned = device.type == "cuda"
        plan = plan_resize(sizes, config.image)
        self._plan = plan.to(device)
        self._images = pack_images(sizes, plan, device)
        self._upload = ImageUpload([self._images.camera(index) for index in range(len(sizes))])
        numbers = len(sizes) * sum(_VIEW_PARTS) + 16
        self._geometry = torch.zeros(numbers, device=device)
        self._geometry_staging = torch.zeros(numbers, pin_memory=pinned)
        model = config.model
        self._past_means = torch.zeros(1, model.gaussians, 3, device=device)
        self._past_features = torch.zeros(1, model.gaussians, model.channels, device=device)

    def fit(self, frame: Frame) -> bool:
        """Whether a frame's rig is the one these buffers are for; missing cameras fit any."""
        return len(frame.rig) == len(self._sizes) and all(
            size == known
            for size, known, valid in zip(
                frame.rig.image_sizes, self._sizes, frame.valid, strict=True
            )
            if valid
        )

    def load_past(self, frame: Frame, past: TemporalState | None) -> None:
        """Write what a frame remembers and its geometry: `memory` and `view` hold from here on."""
        motion = torch.eye(4)
        if past is not None:
            motion = ego_motion(past.global_from_ego, frame.global_from_ego)
            self._past_means[0].copy_(past.means)
            self._past_features[0].copy_(past.features)
        view = camera_view(frame, self._image)
        fields = (view.cam_from_ego, view.intrinsics, view.affine, view.shift, view.valid)
        parts = [field[0].flatten(1) if field.ndim > 2 else field.t() for field in fields]
        numbers = torch.cat([part.float() for part in parts], 1).flatten()
        self._geometry_staging.copy_(torch.cat([numbers, motion.float().flatten().cpu()]))
        self._geometry.copy_(self._geometry_staging, non_blocking=True)

    def load_images(self, frame: Frame) -> None:
        """Write a frame's images; their copies to the device may still be under way on return."""
        self._upload(
            [
                image[first:] if valid else None
                for image, first, valid in zip(
                    frame.images, self._plan.first_rows, frame.valid, strict=True
                )
            ]
        )

    def images(self, dtype: torch.dtype) -> Tensor:
        """Network input [1, cameras, 3, height, width], channels last."""
        valid = self._camera_numbers()[..., -1] > 0
        return resize_images(self._images, valid, self._plan, dtype)

    def view(self) -> CameraView:
        """How ego points become pixels of the input, batch of one."""
        matrix, intrinsics, affine, shift, valid = self._camera_numbers().split(_VIEW_PARTS, -1)
        return CameraView(
            cam_from_ego=matrix.unflatten(-1, (4, 4))[None],
            intrinsics=intrinsics.unflatten(-1, (3, 3))[None],
            affine=affine.unflatten(-1, (2, 2))[None],
            shift=shift[None],
            valid=(valid.squeeze(-1) > 0)[None],
            size=(self._image.height, self._image.width),
        )

    def memory(self) -> Memory:
        """What the frame remembers, moved into its ego frame."""
        motion = self._geometry[-16:].view(4, 4)
        return Memory(transform_points(motion, self._past_means), self._past_features)

    def _camera_numbers(self) -> Tensor:
        """[cameras, numbers per camera]"""
        return self._geometry[:-16].view(len(self._sizes), -1)


def sizes_of(frame: Frame, known: Sizes = ()) -> Sizes:
    """(height, width) per camera; a missing camera keeps its known size, else takes another's."""
    present = [
        size for size, valid in zip(frame.rig.image_sizes, frame.valid, strict=True) if valid
    ]
    stand_in = known if len(known) == len(frame.rig) else (present[0],) * len(frame.rig)
    return tuple(
        (size[0], size[1]) if valid else other
        for size, valid, other in zip(frame.rig.image_sizes, frame.valid, stand_in, strict=True)
    )
