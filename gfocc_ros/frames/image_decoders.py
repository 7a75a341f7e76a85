"""Threads that decode the images of a frame side by side, of the next one as soon as they come.

Used by the frame builder. The decoders let go of Python's lock, so cores are what counts.
"""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

from sensor_msgs.msg import CompressedImage, Image

from gfocc_core.images import ImageDecodeError, ReducedImage
from gfocc_ros.frames.images import rgb_from_message

ImageMessage: TypeAlias = Image | CompressedImage


@dataclass(frozen=True)
class DecodedImage:
    """An image, and when (monotonic clock, s) it was ready."""

    image: ReducedImage
    ready_s: float


@dataclass(frozen=True)
class _Decoding:
    message: ImageMessage
    result: Future[DecodedImage]


class ImageDecoders:
    """A pool of as many threads as there are cameras and cores for them."""

    def __init__(
        self, cameras: int, input_size: tuple[int, int] | None, *, page_locked: bool = False
    ) -> None:
        """Decode no larger than an input of (height, width) needs; None: at full size.

        page_locked: for a CUDA device, which then needs no copy on the host.
        """
        threads = min(cameras, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._input_size, self._page_locked = input_size, page_locked
        self._lock = threading.Lock()
        self._expected: dict[str, _Decoding] = {}
        self._closed = False

    def expect(self, camera: str, message: ImageMessage) -> None:
        """Start decoding what `submit` will probably ask for, in place of the camera's last one.

        Does nothing after `close`; may be called from any thread.
        """
        with self._lock:
            if self._closed:
                return
            before = self._expected.get(camera)
            if before is not None:
                before.result.cancel()
            self._expected[camera] = _Decoding(message, self._pool.submit(self._decode, message))

    def submit(self, camera: str, message: ImageMessage) -> Future[DecodedImage]:
        """Start decoding, unless this very message is under way or done.

        The result raises ImageDecodeError whatever is wrong with the bytes.
        """
        with self._lock:
            expected = self._expected.get(camera)
            if expected is not None and expected.message is message:
                del self._expected[camera]
                return expected.result
        return self._pool.submit(self._decode, message)

    def close(self) -> None:
        """End the threads; running ones finish their image."""
        with self._lock:
            self._closed = True
            self._expected.clear()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _decode(self, message: ImageMessage) -> DecodedImage:
        try:
            image = rgb_from_message(message, self._input_size, page_locked=self._page_locked)
        except ImageDecodeError:
            raise
        except Exception as error:  # whatever a decoder does with foreign bytes, the node lives on
            raise ImageDecodeError(f"{type(error).__name__}: {error}") from error
        return DecodedImage(image, time.monotonic())
