"""Weak labels to compact bytes and back: semantics lossless, depth to within 0.45 percent.

For label_store. Depth becomes a step on a logarithmic scale: step 255 * high + low - 1, where
low 0 (with high 0) is no depth. The two digits are planes of bytes; low is differenced from row to
row, modulo 256. All planes go through zstd. Measured on 6 x 256 x 704 dense depth with 1 percent
noise, this is a fifth smaller than 16-bit PNG and byte-shuffling codecs, and decodes in a quarter
of PNG's time.
"""

from __future__ import annotations

import struct
import zlib
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import zstandard

from gfocc_core.data.scratch import Scratch
from gfocc_core.data.weak_labels import LabelStoreError, StoreHeader, WeakLabels

MIN_DEPTH = 0.1
"""Metres; nearer depth is stored as this."""
MAX_DEPTH = 1000.0
"""Metres; farther depth is refused."""
RELATIVE_ERROR = 0.0045

_STEP = 2 * np.log1p(RELATIVE_ERROR)
_BASE = 255
# Metres are _LOW_TABLE[low] * _HIGH_TABLE[high].
_LOW_TABLE = np.exp(_STEP * (np.arange(256) - 1)).astype(np.float32)
_LOW_TABLE[0] = 0
_HIGH_TABLE = np.zeros(256, np.float32)
_HIGH_TABLE[:8] = MIN_DEPTH * np.exp(_STEP * _BASE * np.arange(8))
_SEMANTICS_LEVEL, _DEPTH_LEVEL = 9, 1

Bytes = npt.NDArray[np.uint8]

_MAGIC = b"GFWL"
_HEAD = struct.Struct("<4s8sHHHHIIII")


class _Decoder(Scratch):
    """A thread's buffers and decompressor, kept from one keyframe to the next."""

    def __init__(self) -> None:
        super().__init__()
        self._zstd = zstandard.ZstdDecompressor()

    def plane(self, name: str, data: memoryview, shape: tuple[int, ...]) -> Bytes:
        """Decompress; LabelStoreError where that gives not exactly the shape's bytes."""
        plane: Bytes = self.array(name, shape)
        with self._zstd.stream_reader(data) as stream:
            try:
                count = stream.readinto(plane.reshape(-1).data)
                more = stream.read(1)
            except zstandard.ZstdError as error:
                raise LabelStoreError(f"it cannot be decompressed: {error}") from error
        if count != plane.size or more:
            raise LabelStoreError(
                f"it holds a plane of {'more than ' * bool(more)}{count} bytes, not {plane.size}"
            )
        return plane


_decoder = _Decoder()


def encode_labels(labels: WeakLabels, token: str, header: StoreHeader) -> bytes:
    """One keyframe's object: a head, the token, three compressed planes, and a checksum of all.

    Raises:
        LabelStoreError: the labels do not fit the header, or depth holds a NaN, an infinite or
            negative number or one above MAX_DEPTH.
    """
    labels.check(header)
    high, low = _digits_of(labels.depth)
    differences = low.transpose(1, 0, 2).copy()
    differences[1:] -= low.transpose(1, 0, 2)[:-1]
    planes = [
        _compress(np.ascontiguousarray(labels.semantics), _SEMANTICS_LEVEL),
        _compress(high, _DEPTH_LEVEL),
        _compress(differences, _DEPTH_LEVEL),
    ]
    name = token.encode()
    head = (_MAGIC, header.digest, *header.geometry.shape, len(name), *map(len, planes))
    body = b"".join([name, *planes])
    return _HEAD.pack(*head, _checksum(head, body)) + body


def decode_labels(
    data: bytes | memoryview, token: str, header: StoreHeader, out: WeakLabels
) -> None:
    """Inverse of encode_labels.

    Args:
        data: An object of encode_labels.
        token: The keyframe it should belong to.
        header: The store's.
        out: C-contiguous arrays to fill, of the header's shape; depth float32.

    Raises:
        LabelStoreError: the bytes are damaged or cut off, belong to another keyframe, or to a
            store of another geometry, vocabulary, model or version.
    """
    if len(data) < _HEAD.size or data[:4] != _MAGIC:
        raise LabelStoreError("it is no label object")
    *head, checksum = _HEAD.unpack_from(data)
    body = memoryview(data)[_HEAD.size :]
    name_length, *lengths = head[5:]
    if len(body) != name_length + sum(lengths):
        raise LabelStoreError(f"it is cut off: {len(data)} bytes")
    if _checksum(tuple(head), body) != checksum:
        raise LabelStoreError("its checksum is wrong")
    if head[1] != header.digest:
        raise LabelStoreError(
            "it belongs to a store of another geometry, vocabulary, model or version"
        )
    if bytes(body[:name_length]) != token.encode():
        raise LabelStoreError(f"it belongs to keyframe '{bytes(body[:name_length]).decode()}'")
    cameras, height, width = header.geometry.shape
    shapes = {
        "semantics": (cameras, height, width),
        "high": (cameras, height, width),
        "differences": (height, cameras, width),
    }
    start, planes = name_length, {}
    for (name, shape), length in zip(shapes.items(), lengths, strict=True):
        planes[name] = _decoder.plane(name, body[start : start + length], shape)
        start += length
    out.semantics[:] = planes["semantics"]
    _fill_depth(planes["high"], planes["differences"], out.depth)


def _digits_of(depth: npt.NDArray[np.floating[Any]]) -> tuple[Bytes, Bytes]:
    """High and low digit of each depth's step on the logarithmic scale."""
    metres = depth.astype(np.float64)
    nearest, farthest = float(metres.min()), float(metres.max())
    if not (nearest >= 0 and farthest <= MAX_DEPTH):
        raise LabelStoreError(
            f"depth must be finite numbers from 0 to {MAX_DEPTH:g} m, "
            f"got {nearest:g} to {farthest:g}"
        )
    steps = np.rint(np.log(np.maximum(metres, MIN_DEPTH) / MIN_DEPTH) / _STEP).astype(np.int64)
    some = metres > 0
    high = np.where(some, steps // _BASE, 0).astype(np.uint8)
    return high, np.where(some, 1 + steps % _BASE, 0).astype(np.uint8)


def _fill_depth(high: Bytes, low: Bytes, depth: npt.NDArray[Any]) -> None:
    """Inverse of _digits_of: high is [C, h, w]; low [h, C, w] holds differences, and is used up."""
    if depth.dtype != np.float32 or not depth.flags.c_contiguous:
        raise LabelStoreError("depth can only be read into a C-contiguous float32 array")
    # Row by row all columns at once: several times faster than numpy's accumulate.
    for above, row in pairwise(low):
        np.add(above, row, out=row)
    factors = _decoder.array("factors", depth.shape[1:], np.float32)
    for camera, metres in enumerate(depth):
        cv2.LUT(low[:, camera], _LOW_TABLE, metres)
        cv2.LUT(high[camera], _HIGH_TABLE, factors)
        cv2.multiply(metres, factors, metres)


def _compress(plane: Bytes, level: int) -> bytes:
    return zstandard.ZstdCompressor(level).compress(plane.reshape(-1).data)


def _checksum(head: tuple[Any, ...], body: bytes | memoryview) -> int:
    return zlib.crc32(body, zlib.crc32(_HEAD.pack(*head, 0)))
