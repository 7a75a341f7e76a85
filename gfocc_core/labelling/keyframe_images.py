"""Read keyframes' images ahead of the network that works on them, in threads.

Threads suffice: the JPEG decoder releases the interpreter, and 26 MB of pixels per keyframe would
be dear to pass between processes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from gfocc_core.data.image_warp import decode_for_scale
from gfocc_core.data.index import SceneIndex
from gfocc_core.images import ImageDecodeError

_KEYFRAMES_AHEAD = 3


@dataclass(frozen=True)
class KeyframeImages:
    """One keyframe's images, or what is wrong with them."""

    token: str
    cameras: tuple[int, ...]
    """Numbers of the cameras that the keyframe has, in the index's order."""
    images: tuple[Tensor, ...]
    """uint8 [H, W, 3] RGB on the CPU, one per camera; none where there is a problem."""
    intrinsics: Tensor
    """float64 [len(cameras), 3, 3] in pixels of these images."""
    problem: str | None
    """Says which file is missing, corrupt or of another size than the tables say."""


def iter_keyframe_images(
    index: SceneIndex, positions: Sequence[int], wanted: Callable[[str], bool], threads: int
) -> Iterator[KeyframeImages | None]:
    """The images of keyframes in the order of their positions.

    Args:
        index: The dataset.
        positions: Of the keyframes.
        wanted: Asked with a token just before reading; None comes for one it says no to.
        threads: How many decode at once.

    Raises:
        DatasetError: the index names a file outside the dataset's folder.
    """
    with ThreadPoolExecutor(threads, "images") as pool:
        pending: deque[Future[KeyframeImages | None]] = deque()
        rest = iter(positions)
        try:
            while True:
                for position in rest:
                    pending.append(pool.submit(_read, index, position, wanted))
                    if len(pending) >= threads + _KEYFRAMES_AHEAD:
                        break
                if not pending:
                    return
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _read(index: SceneIndex, position: int, wanted: Callable[[str], bool]) -> KeyframeImages | None:
    keyframe = index.keyframe(position)
    if not wanted(keyframe.token):
        return None
    images: list[Tensor] = []
    cameras: list[int] = []
    problem: str | None = None
    for camera, path in enumerate(keyframe.camera_files):
        if path is None:
            continue
        try:
            images.append(_read_image(path, keyframe.image_sizes[camera]))
            cameras.append(camera)
        except (ImageDecodeError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            problem = f"image '{path}': {reason}"
            break
    if not images and problem is None:
        problem = "it has no image of any camera"
    return KeyframeImages(
        keyframe.token,
        tuple(cameras),
        () if problem else tuple(images),
        keyframe.cameras.intrinsics[cameras],
        problem,
    )


def _read_image(path: str, expected: tuple[int, int]) -> Tensor:
    pixels, size, _ = decode_for_scale(Path(path).read_bytes(), 1.0)
    if size != tuple(expected):
        raise ImageDecodeError(
            f"it is {size[1]}x{size[0]}, but sample_data says {expected[1]}x{expected[0]}"
        )
    return torch.from_numpy(pixels)
