"""The images of a frame to the network's input: up to the device as uint8, scaled down there.

Holds the buffers for one set of image sizes. What reads the input knows nothing of these sizes, so
that a program captured for any of them serves all.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gfocc_core.config import ImageConfig
from gfocc_core.frame import Frame
from gfocc_core.inference.image_upload import ImageUpload
from gfocc_core.inference.resize import pack_images, plan_resize, resize_images

Sizes = tuple[tuple[int, int], ...]


class ImageFeed:
    """Only rows that the crop keeps travel.

    A frame must not be uploaded before the device has finished the previous one.
    """

    def __init__(self, sizes: Sizes, image: ImageConfig, valid: Tensor, out: Tensor) -> None:
        """Make the buffers.

        Args:
            sizes: (height, width) per camera.
            valid, out: as of resize.resize_images, on the device.
        """
        self.sizes = sizes
        self._valid, self._out = valid, out
        self._graph: torch.cuda.CUDAGraph | None = None
        plan = plan_resize(sizes, image)
        self._plan = plan.to(out.device)
        self._images = pack_images(sizes, plan, out.device)
        self._upload = ImageUpload([self._images.camera(index) for index in range(len(sizes))])

    def fits(self, frame: Frame) -> bool:
        """Whether a frame's images have these sizes; missing ones fit any."""
        return all(
            size == known
            for size, known, valid in zip(
                frame.rig.image_sizes, self.sizes, frame.valid, strict=True
            )
            if valid
        )

    def upload(self, frame: Frame) -> None:
        """Copy a frame's images; copies to the device may still be under way on return."""
        self._upload(
            [
                image[first:] if valid else None
                for image, first, valid in zip(
                    frame.images, self._plan.first_rows, frame.valid, strict=True
                )
            ]
        )

    def capture(self) -> None:
        """Have `resize` replay a CUDA graph: Triton's launcher takes ten times as long."""
        self.resize()  # compiles
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                self.resize()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:
            return  # the frame's own program cannot be captured then either, and says so
        self._graph = graph

    def resize(self) -> None:
        """Write what was uploaded, scaled, where `out` lies."""
        if self._graph is not None:
            self._graph.replay()
        else:
            resize_images(self._images, self._valid, self._plan, self._out)


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
