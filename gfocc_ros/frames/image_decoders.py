"""Decodes the images of a frame side by side, of the next one as soon as they come.

Used by the frame builder. A GPU unpacks JPEGs itself, all of a frame at once, while threads of the
host look whether they are whole, which it would not tell and which takes them longer; everything
else is decoded by these threads. They let go of Python's lock, so cores are what counts.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

import torch
from sensor_msgs.msg import CompressedImage, Image

from gfocc_core.images import ImageDecodeError, ReducedImage
from gfocc_core.jpeg import check_jpeg, jpeg_size
from gfocc_core.jpeg_on_device import decode_jpegs, decodes_jpegs
from gfocc_ros.frames.images import rgb_from_message

ImageMessage: TypeAlias = Image | CompressedImage

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DecodedImage:
    """An image, and when (monotonic clock, s) it was ready."""

    image: ReducedImage
    ready_s: float


@dataclass(frozen=True)
class _HostWork:
    """What a thread of the host found: an image, or that the device's one will be whole."""

    image: ReducedImage | None
    ready_s: float


@dataclass(frozen=True)
class _DeviceWork:
    images: dict[str, ReducedImage]
    ready_s: float


@dataclass(frozen=True)
class Decoding:
    """An image under way."""

    _camera: str
    _on_host: Future[_HostWork]
    _on_device: Future[_DeviceWork] | None
    """None: the host decodes it."""

    def result(self) -> DecodedImage:
        """Wait for the image, not for `confirm`, without which it may be of damaged bytes.

        Raises:
            ImageDecodeError: the bytes cannot be decoded.
        """
        if self._on_device is not None and not self._is_damaged():
            device = self._on_device.result()
            if self._camera in device.images:
                return DecodedImage(device.images[self._camera], device.ready_s)
        host = self._on_host.result()
        if host.image is None:
            raise ImageDecodeError("neither device nor host can decode the JPEG")
        return DecodedImage(host.image, host.ready_s)

    def confirm(self) -> None:
        """Wait until it is known that the bytes were whole; raises ImageDecodeError: they were not."""
        self._on_host.result()

    def cancel(self) -> None:
        """Nobody wants it any more."""
        self._on_host.cancel()

    def _is_damaged(self) -> bool:
        """As far as it is known by now."""
        return self._on_host.done() and self._on_host.exception() is not None


@dataclass(frozen=True)
class _Expected:
    message: ImageMessage
    work: Future[_HostWork]


class ImageDecoders:
    """A pool of as many threads as there are cameras and cores for them, and maybe a GPU."""

    def __init__(
        self, cameras: int, input_size: tuple[int, int] | None, device: torch.device
    ) -> None:
        """Decode no larger than an input of (height, width) needs; None: at full size.

        device: where the images are needed.
        """
        threads = min(cameras, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._batches = ThreadPoolExecutor(1, thread_name_prefix="decode on device")
        self._input_size, self._device = input_size, device
        self._jpegs_on_device = decodes_jpegs(device, cameras)
        self._failed = False
        self._lock = threading.Lock()
        self._expected: dict[str, _Expected] = {}
        self._closed = False

    def expect(self, camera: str, message: ImageMessage) -> None:
        """Begin with what `submit` will probably ask for, in place of the camera's last one.

        Does nothing after `close`; may be called from any thread.
        """
        with self._lock:
            if self._closed:
                return
            before = self._expected.get(camera)
            if before is not None:
                before.work.cancel()
            self._expected[camera] = _Expected(message, self._pool.submit(self._work, message))

    def submit(self, messages: Mapping[str, ImageMessage]) -> dict[str, Decoding]:
        """Start decoding a frame's images by camera, unless they are under way or done."""
        on_host = {camera: self._host_work(camera, it) for camera, it in messages.items()}
        sizes = {camera: self._size_on_device(message) for camera, message in messages.items()}
        jpegs = {c: (messages[c], size) for c, size in sizes.items() if size is not None}
        batch = self._batches.submit(self._decode_batch, jpegs) if jpegs else None
        return {
            camera: Decoding(camera, work, batch if camera in jpegs else None)
            for camera, work in on_host.items()
        }

    def close(self) -> None:
        """End the threads; running ones finish their image."""
        with self._lock:
            self._closed = True
            self._expected.clear()
        for pool in (self._pool, self._batches):
            pool.shutdown(wait=False, cancel_futures=True)

    def _host_work(self, camera: str, message: ImageMessage) -> Future[_HostWork]:
        with self._lock:
            expected = self._expected.get(camera)
            if expected is not None and expected.message is message:
                del self._expected[camera]
                return expected.work
        return self._pool.submit(self._work, message)

    def _work(self, message: ImageMessage) -> _HostWork:
        if self._size_on_device(message) is None:
            return _HostWork(self._decode(message), time.monotonic())
        try:
            check_jpeg(memoryview(message.data))
        except Exception as error:  # whatever a decoder does with foreign bytes, the node lives on
            found = f"cannot decode an image of {len(message.data)} bytes: {error}"
            raise ImageDecodeError(found) from error
        return _HostWork(None, time.monotonic())

    def _size_on_device(self, message: ImageMessage) -> tuple[int, int] | None:
        """(height, width) of what the device decodes."""
        if not self._jpegs_on_device or not isinstance(message, CompressedImage):
            return None
        try:
            return jpeg_size(memoryview(message.data))
        except Exception:  # decoding it on the host says what is wrong
            return None

    def _decode(self, message: ImageMessage) -> ReducedImage:
        page_locked = self._device.type == "cuda"
        try:
            return rgb_from_message(message, self._input_size, page_locked=page_locked)
        except ImageDecodeError:
            raise
        except Exception as error:  # as above
            raise ImageDecodeError(f"{type(error).__name__}: {error}") from error

    def _decode_batch(
        self, jpegs: Mapping[str, tuple[CompressedImage, tuple[int, int]]]
    ) -> _DeviceWork:
        """All that the device decodes of a frame; by the host if it fails on one of them."""
        try:
            files = [memoryview(message.data) for message, _ in jpegs.values()]
            pixels = decode_jpegs(files, self._device)
        except RuntimeError as error:
            if not self._failed:
                first = str(error).partition("\n")[0]
                _log.warning("JPEGs that %s cannot decode go to the CPU: %s", self._device, first)
            self._failed = True
            return _DeviceWork(self._decode_on_host(jpegs), time.monotonic())
        images = {
            camera: ReducedImage(image, size, 1)
            for image, (camera, (_, size)) in zip(pixels, jpegs.items(), strict=True)
        }
        return _DeviceWork(images, time.monotonic())

    def _decode_on_host(
        self, jpegs: Mapping[str, tuple[CompressedImage, tuple[int, int]]]
    ) -> dict[str, ReducedImage]:
        """Those that are whole."""
        work = {
            camera: self._pool.submit(self._decode, message)
            for camera, (message, _) in jpegs.items()
        }
        return {camera: it.result() for camera, it in work.items() if it.exception() is None}
