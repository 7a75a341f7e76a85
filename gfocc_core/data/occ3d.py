"""Read Occ3D-nuScenes ground truth: `<dataroot>/gts/<scene>/<sample token>/labels.npz`."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gfocc_core.data.npz_file import load_arrays
from gfocc_core.data.scenes import DatasetError
from gfocc_core.grid import OCC3D_GRID, VoxelGrid
from gfocc_core.taxonomy import FREE_ID

# What numpy raises on a damaged archive or on a file of another kind.
_DAMAGE = (
    OSError,
    RuntimeError,
    ValueError,
    EOFError,
    TypeError,
    AttributeError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True)
class Occ3dLabels:
    """The labelled voxels of one keyframe, in the reference ego frame, array order [x, y, z]."""

    semantics: Tensor
    """uint8 [X, Y, Z] Occ3D ids; 17 is free."""
    mask_lidar: Tensor
    """bool [X, Y, Z]: some lidar ray crossed or hit the voxel."""
    mask_camera: Tensor
    """bool [X, Y, Z]: some camera sees the voxel."""

    def to(self, device: torch.device | str) -> Occ3dLabels:
        return replace(self, **{f.name: getattr(self, f.name).to(device) for f in fields(self)})


def occ3d_path(dataroot: Path | str, scene_name: str, sample_token: str) -> Path:
    """Where the labels of a keyframe lie.

    Raises:
        DatasetError: the scene or the token, which tables give, is no folder's name.
    """
    for what, name in (("scene", scene_name), ("sample token", sample_token)):
        if name in ("", ".", "..") or "/" in name or "\\" in name:
            raise DatasetError(f"{what} '{name}' cannot name a folder below '{dataroot}/gts'")
    return Path(dataroot) / "gts" / scene_name / sample_token / "labels.npz"


def read_occ3d(path: Path | str, grid: VoxelGrid = OCC3D_GRID) -> Occ3dLabels:
    """Read one labels.npz.

    Raises:
        DatasetError: the file is missing or damaged, lacks an array, or holds one whose shape is
            not the grid's or whose values are out of range.
    """
    path = Path(path)
    if not path.is_file():
        raise DatasetError(f"labels '{path}' are missing")
    try:
        found = load_arrays(path)
    except _DAMAGE as error:
        raise DatasetError(f"labels '{path}' are corrupt: {error}") from error
    missing = [f.name for f in fields(Occ3dLabels) if f.name not in found]
    if missing:
        raise DatasetError(
            f"labels '{path}' lack {', '.join(missing)}; they hold: {', '.join(found)}"
        )
    arrays = {f.name: found[f.name] for f in fields(Occ3dLabels)}
    limits = {"semantics": FREE_ID, "mask_lidar": 1, "mask_camera": 1}
    for name, array in arrays.items():
        _check(path, name, array, limits[name], grid.shape)
    return Occ3dLabels(
        semantics=torch.from_numpy(arrays["semantics"].astype(np.uint8)),
        mask_lidar=torch.from_numpy(arrays["mask_lidar"].astype(bool)),
        mask_camera=torch.from_numpy(arrays["mask_camera"].astype(bool)),
    )


def _check(
    path: Path, name: str, array: npt.NDArray[Any], highest: int, shape: tuple[int, int, int]
) -> None:
    if array.shape != shape:
        raise DatasetError(
            f"{name} of labels '{path}' must be {list(shape)}, got {list(array.shape)}"
        )
    if array.dtype.kind not in "bui":
        raise DatasetError(f"{name} of labels '{path}' must hold integers, got {array.dtype}")
    low, high = int(np.min(array)), int(np.max(array))
    if low < 0 or high > highest:
        raise DatasetError(
            f"{name} of labels '{path}' must hold 0 to {highest}, got {low} to {high}"
        )
