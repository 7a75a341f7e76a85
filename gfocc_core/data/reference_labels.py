"""Read the published pipeline's label folders (full-size .npy arrays) as if they were a store.

For training from existing labels, and for bringing them into a LabelStore. Its folders hold, per
keyframe, the labels of all cameras at full size (6 x 900 x 1600), semantics apart from depth.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gfocc_core.data.weak_labels import CameraRaster, LabelStoreError, StoreHeader, WeakLabels

DEFAULT_PATTERN = "{token}.npy"


@dataclass(frozen=True)
class ReferenceLabels:
    """Full-size labels, brought to the header's raster by nearest neighbour. A LabelReader.

    Raises LabelStoreError at once where a folder is missing or the pattern cannot be used.
    """

    semantics_folder: Path
    """Of integer arrays, ids of the header's vocabulary."""
    depth_folder: Path
    """Of float arrays in metres."""
    header: StoreHeader
    """What the labels are, and on which raster they are wanted."""
    pattern: str = DEFAULT_PATTERN
    """Path of a keyframe's file below either folder. With `{token}` alone the file holds
    [C, H, W]; with `{camera}` too, such as `{token}/{camera}.npy`, there is one [H, W] file per
    camera."""
    file_cameras: Sequence[str] = field(default=())
    """Order of the cameras in a [C, H, W] file; none given: that of the header's geometry."""

    def __post_init__(self) -> None:
        for name, folder in (("semantics", self.semantics_folder), ("depth", self.depth_folder)):
            if not Path(folder).is_dir():
                raise LabelStoreError(f"{name} folder '{folder}' is not a folder")
        fields = re.findall(r"\{(.*?)\}", self.pattern)
        if "token" not in fields or not set(fields) <= {"token", "camera"}:
            raise LabelStoreError(
                f"pattern must contain {{token}} and may contain {{camera}}, got '{self.pattern}'"
            )
        wanted = self.header.geometry.names
        if self.file_cameras and not set(wanted) <= set(self.file_cameras):
            raise LabelStoreError(
                f"file_cameras must contain {', '.join(wanted)}, got {', '.join(self.file_cameras)}"
            )

    def tokens(self) -> tuple[str, ...]:
        """Keyframes that have both kinds of labels, sorted."""
        found = [self._tokens_in(folder) for folder in (self.semantics_folder, self.depth_folder)]
        return tuple(sorted(found[0] & found[1]))

    def has(self, token: str) -> bool:
        """Whether all files of a keyframe exist."""
        return all(
            self._file(folder, token, camera).is_file()
            for folder in (self.semantics_folder, self.depth_folder)
            for camera in (self.header.geometry.names if self._per_camera else ("",))
        )

    def read(self, token: str, out: WeakLabels | None = None) -> WeakLabels:
        """The labels of a keyframe on the raster.

        Args:
            token: Which keyframe.
            out: Arrays to fill and return (depth float32); new ones if not given.

        Raises:
            LabelStoreError: names the file that is missing, damaged, of another size, or holds
                what is no label.
        """
        labels = WeakLabels.empty(self.header.geometry) if out is None else out
        self._read_kind(self.semantics_folder, token, _semantics_of, labels.semantics)
        self._read_kind(self.depth_folder, token, _depth_of, labels.depth)
        return labels

    @property
    def _per_camera(self) -> bool:
        return "{camera}" in self.pattern

    def _file(self, folder: Path, token: str, camera: str) -> Path:
        return Path(folder) / self.pattern.format(token=token, camera=camera)

    def _tokens_in(self, folder: Path) -> set[str]:
        camera = self.header.geometry.names[0]
        parts = [re.escape(part) for part in self.pattern.split("{token}")]
        expression = "([^/]+)".join(parts[:2]) + "".join(r"\1" + part for part in parts[2:])
        matcher = re.compile(expression.replace(re.escape("{camera}"), re.escape(camera)))
        files = Path(folder).glob(self.pattern.format(token="*", camera=camera))
        matches = (matcher.fullmatch(file.relative_to(folder).as_posix()) for file in files)
        return {match.group(1) for match in matches if match}

    def _read_kind(
        self,
        folder: Path,
        token: str,
        convert: Callable[[npt.NDArray[Any], int], npt.NDArray[Any]],
        out: npt.NDArray[Any],
    ) -> None:
        geometry = self.header.geometry
        order = tuple(self.file_cameras) or geometry.names
        for row, camera in enumerate(geometry.cameras):
            path = self._file(folder, token, camera.name)
            array = _load(path)
            if not self._per_camera:
                if array.ndim != 3 or len(array) != len(order):
                    raise LabelStoreError(
                        f"label file '{path}' must be [{len(order)}, H, W], got {list(array.shape)}"
                    )
                array = array[order.index(camera.name)]
            if array.shape != camera.image_size:
                raise LabelStoreError(
                    f"label file '{path}' must hold {list(camera.image_size)} pixels of "
                    f"{camera.name}, got {list(array.shape)}"
                )
            small = _nearest(array, camera, (geometry.height, geometry.width))
            try:
                out[row] = convert(small, len(self.header.vocabulary))
            except LabelStoreError as error:
                raise LabelStoreError(f"label file '{path}': {error}") from error


def _load(path: Path) -> npt.NDArray[Any]:
    try:
        array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise LabelStoreError(f"label file '{path}' is missing") from error
    except (OSError, ValueError, EOFError) as error:
        raise LabelStoreError(f"label file '{path}' cannot be used: {error}") from error
    if not isinstance(array, np.ndarray):
        raise LabelStoreError(f"label file '{path}' is an archive, not one array")
    return array


def _nearest(
    array: npt.NDArray[Any], camera: CameraRaster, raster: tuple[int, int]
) -> npt.NDArray[Any]:
    """The full-size pixel under the centre of each raster pixel; 0 outside the image."""
    rows = np.floor((np.arange(raster[0]) + 0.5 + camera.top) / camera.scale).astype(int)
    columns = np.floor((np.arange(raster[1]) + 0.5 + camera.left) / camera.scale).astype(int)
    height, width = array.shape
    picked: npt.NDArray[Any] = array[np.clip(rows, 0, height - 1)][
        :, np.clip(columns, 0, width - 1)
    ]
    picked[(rows < 0) | (rows >= height)] = 0
    picked[:, (columns < 0) | (columns >= width)] = 0
    return picked


def _semantics_of(array: npt.NDArray[Any], classes: int) -> npt.NDArray[Any]:
    if array.dtype.kind not in "ui":
        raise LabelStoreError(f"semantics must be integers, got {array.dtype}")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= classes:
        raise LabelStoreError(f"semantics must hold ids 0 to {classes - 1}, got {low} to {high}")
    return array.astype(np.uint8)


def _depth_of(array: npt.NDArray[Any], classes: int) -> npt.NDArray[Any]:
    if array.dtype.kind != "f":
        raise LabelStoreError(f"depth must be floating-point metres, got {array.dtype}")
    if not bool(np.isfinite(array).all()) or float(array.min()) < 0:
        raise LabelStoreError("depth holds a negative, infinite or NaN number")
    return array.astype(np.float32)
