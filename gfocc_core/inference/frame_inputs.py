"""The fixed places on the device where everything that enters a frame is written.

A captured graph reads the same addresses in every frame; so does the eager program, for tests.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gfocc_core.config import Config
from gfocc_core.frame import Frame
from gfocc_core.geometry import CameraView, transform_points
from gfocc_core.inference.image_feed import ImageFeed, sizes_of
from gfocc_core.model import Memory
from gfocc_core.preprocess import camera_view
from gfocc_core.temporal import TemporalState, ego_motion

_CAMERA_PARTS = ((4, 4), (3, 3), (2, 2), (2,), ())
"""Shapes of what is known of a camera: cam_from_ego, intrinsics, affine, shift, valid."""


class FrameInputs:
    """Device buffers for frames of so many cameras, of images of any size: images, geometry, memory.

    A frame must not be loaded before the device has finished the previous one.
    """

    def __init__(
        self,
        cameras: int,
        config: Config,
        device: torch.device,
        dtype: torch.dtype,
        captured: bool = False,
    ) -> None:
        """Make the buffers.

        Args:
            dtype: of the network's input.
            captured: launch what scales the images as a CUDA graph.
        """
        self._cameras, self._image = cameras, config.image
        self._captured = captured and device.type == "cuda"
        self._feed: ImageFeed | None = None
        shape = (cameras, config.image.height, config.image.width, 3)
        self._pixels = torch.zeros(shape, device=device, dtype=dtype)
        numbers = cameras * sum(torch.Size(part).numel() for part in _CAMERA_PARTS) + 16
        self._geometry = torch.zeros(numbers, device=device)
        self._staging = torch.zeros(numbers, pin_memory=device.type == "cuda")
        self._staged = self._parts(self._staging)
        *_, self._valid, self._motion = self._parts(self._geometry)
        model = config.model
        self._past_means = torch.zeros(1, model.gaussians, 3, device=device)
        self._past_features = torch.zeros(1, model.gaussians, model.channels, device=device)

    def fit(self, frame: Frame) -> bool:
        """Whether a frame has as many cameras."""
        return len(frame.rig) == self._cameras

    def load_past(self, frame: Frame, past: TemporalState | None) -> None:
        """Write what a frame remembers and its geometry: `memory` and `view` hold from here on."""
        *camera_parts, motion = self._staged
        if past is not None:
            motion.copy_(ego_motion(past.global_from_ego, frame.global_from_ego))
            self._past_means[0].copy_(past.means)
            self._past_features[0].copy_(past.features)
        view = camera_view(frame, self._image)
        fields = (view.cam_from_ego, view.intrinsics, view.affine, view.shift, view.valid)
        for part, field in zip(camera_parts, fields, strict=True):
            part.copy_(field[0])
        self._geometry.copy_(self._staging, non_blocking=True)

    def upload(self, frame: Frame) -> None:
        """Bring a frame's images to the device; copies may still be under way on return."""
        if self._feed is None or not self._feed.fits(frame):
            known = self._feed.sizes if self._feed else ()
            self._feed = None  # goes before a new one comes, else both need memory
            sizes = sizes_of(frame, known)
            self._feed = ImageFeed(sizes, self._image, self._valid, self._pixels)
            if self._captured:
                self._feed.capture()
        self._feed.upload(frame)

    def resize(self) -> None:
        """Scale the uploaded images: `images` holds from here on."""
        assert self._feed is not None
        self._feed.resize()

    def images(self) -> Tensor:
        """Network input [1, cameras, 3, height, width], channels last."""
        return self._pixels.permute(0, 3, 1, 2).unsqueeze(0)

    def view(self) -> CameraView:
        """How ego points become pixels of the input, batch of one."""
        matrix, intrinsics, affine, shift, valid, _ = self._parts(self._geometry)
        return CameraView(
            cam_from_ego=matrix[None],
            intrinsics=intrinsics[None],
            affine=affine[None],
            shift=shift[None],
            valid=(valid > 0)[None],
            size=(self._image.height, self._image.width),
        )

    def memory(self) -> Memory:
        """What the frame remembers, moved into its ego frame."""
        return Memory(transform_points(self._motion, self._past_means), self._past_features)

    def _parts(self, numbers: Tensor) -> list[Tensor]:
        """Views of a flat buffer: what _CAMERA_PARTS names for all cameras, then the ego motion."""
        shapes = [torch.Size((self._cameras, *part)) for part in _CAMERA_PARTS]
        shapes.append(torch.Size((4, 4)))
        flat = numbers.split([shape.numel() for shape in shapes])
        return [part.view(shape) for part, shape in zip(flat, shapes, strict=True)]
