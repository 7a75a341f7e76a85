"""Voxel labels on disk: an npz with one array `labels`, uint8 [X, Y, Z] Occ3D ids."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gfocc_core.atomic_file import write_atomically
from gfocc_core.data.npz_file import load_arrays
from gfocc_core.data.scenes import DatasetError
from gfocc_core.grid import OCC3D_GRID, VoxelGrid
from gfocc_core.taxonomy import FREE_ID

Labels = npt.NDArray[np.uint8]

_DAMAGE = (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error)


def save_label_file(path: Path, labels: Labels) -> None:
    """Write the labels, atomically; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda stream: np.savez_compressed(stream, labels=labels))


def read_label_file(path: Path, what: str, grid: VoxelGrid = OCC3D_GRID) -> Labels:
    """Read what save_label_file wrote; errors begin with `what`, such as "prior".

    Raises:
        DatasetError: missing, damaged, not uint8 of the grid's shape, or with ids above 17.
    """
    if not path.is_file():
        raise DatasetError(f"{what} '{path}' is missing")
    try:
        labels: Labels = load_arrays(path)["labels"]
    except _DAMAGE as error:
        raise DatasetError(f"{what} '{path}' cannot be read: {error}") from error
    if labels.shape != grid.shape or labels.dtype != np.uint8:
        raise DatasetError(
            f"{what} '{path}' must be uint8 {list(grid.shape)}, "
            f"got {labels.dtype} {list(labels.shape)}"
        )
    if labels.max() > FREE_ID:
        raise DatasetError(f"{what} '{path}' must hold ids 0 to {FREE_ID}, got {labels.max()}")
    return labels
