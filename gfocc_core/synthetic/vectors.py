"""Arithmetic on many small float32 vectors kept as [3, N]; numpy runs through rows fastest."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]


def dot(a: Floats, b: Floats) -> Floats:
    """Products [N] of vectors [3, N] or [3]."""
    total = a[0] * b[0]
    total += a[1] * b[1]
    total += a[2] * b[2]
    return np.asarray(total, np.float32)


def unit(a: Floats) -> tuple[Floats, Floats]:
    """Vectors [3, N] at length 1, and their lengths [N]."""
    length = np.sqrt(dot(a, a))
    return a / length, length


def take(a: Floats, indices: Indices) -> Floats:
    """Columns [K, M] of rows [K, N]."""
    return np.take(a, indices, axis=1)


def scatter(a: Floats, indices: Indices, columns: Floats) -> None:
    """Write columns [K, M] into rows [K, N] at indices [M]."""
    for row, values in zip(a, columns, strict=True):
        row[indices] = values


def turned(rotation: npt.NDArray[np.float64], a: Floats) -> Floats:
    """Vectors [N, 3] turned by a matrix [3, 3]; unlike `@`, never on several threads."""
    return np.einsum("ij,nj->ni", rotation.astype(np.float32), a)
