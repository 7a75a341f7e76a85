"""Read folders of label arrays or images as if they were a store.

For training from existing labels, and for bringing them into a LabelStore. The published
pipeline's folders hold, per keyframe, the labels of all cameras at full size (6 x 900 x 1600, .npy),
semantics apart from depth; others keep a PNG per camera.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from gfocc_core.data.weak_labels import CameraRaster, LabelStoreError, StoreHeader, WeakLabels

DEFAULT_PATTERN = "{token}.npy"
_ARRAY, _PICTURE = ".npy", ".png"
_PICTURE_MODES = ("1", "L", "P", "I", "I;16", "I;16B")
"""PIL's modes with one integer per pixel."""


@dataclass(frozen=True)
class ReferenceLabels:
    """Full-size labels, brought to the header's raster by nearest neighbour. A LabelReader.

    Raises LabelStoreError at once where a folder is missing or the pattern cannot be used.
    """

    semantics_folder: Path | None
    """Of integers, ids of the header's vocabulary. None: these labels are zeros."""
    depth_folder: Path | None
    """Of float arrays in metres, or of integers in depth_unit. None: these labels are zeros."""
    header: StoreHeader
    """What the labels are, and on which raster they are wanted."""
    pattern: str = DEFAULT_PATTERN
    """Path of a keyframe's file below either folder. With `{token}` alone the file holds
    [C, H, W]; with `{camera}` too, such as `{token}/{camera}.npy`, there is one [H, W] file per
    camera. It ends in .npy, or, with `{camera}`, in .png (8 or 16 bit grey, or a palette)."""
    file_cameras: Sequence[str] = field(default=())
    """Order of the cameras in a [C, H, W] file; none given: that of the header's geometry."""
    depth_unit: float | None = None
    """Metres that an integer of depth counts; None: integers are refused."""
    on_raster: bool = False
    """The files hold the header's raster already, instead of full-size images."""

    def __post_init__(self) -> None:
        for name, folder in (("semantics", self.semantics_folder), ("depth", self.depth_folder)):
            if folder is not None and not Path(folder).is_dir():
                raise LabelStoreError(f"{name} folder '{folder}' is not a folder")
        if not self._folders:
            raise LabelStoreError("semantics folder and depth folder are both missing")
        fields = re.findall(r"\{(.*?)\}", self.pattern)
        if "token" not in fields or not set(fields) <= {"token", "camera"}:
            raise LabelStoreError(
                f"pattern must contain {{token}} and may contain {{camera}}, got '{self.pattern}'"
            )
        suffix = Path(self.pattern).suffix
        if suffix not in (_ARRAY, _PICTURE) or (suffix == _PICTURE and not self._per_camera):
            raise LabelStoreError(
                "pattern must end in .npy, or in .png if it contains {camera}, "
                f"got '{self.pattern}'"
            )
        if self.depth_unit is not None and not self.depth_unit > 0:
            raise LabelStoreError(f"depth_unit must be positive metres, got {self.depth_unit}")
        wanted = self.header.geometry.names
        if self.file_cameras and not set(wanted) <= set(self.file_cameras):
            raise LabelStoreError(
                f"file_cameras must contain {', '.join(wanted)}, got {', '.join(self.file_cameras)}"
            )

    def tokens(self) -> tuple[str, ...]:
        """Keyframes that have all kinds of labels for which there are folders, sorted."""
        found = [self._tokens_in(folder) for folder in self._folders]
        return tuple(sorted(set.intersection(*found)))

    def has(self, token: str) -> bool:
        """Whether all files of a keyframe exist."""
        return all(
            self._file(folder, token, camera).is_file()
            for folder in self._folders
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
        classes = len(self.header.vocabulary)
        self._read_kind(
            self.semantics_folder, token, lambda a: _semantics_of(a, classes), labels.semantics
        )
        self._read_kind(
            self.depth_folder, token, lambda a: _depth_of(a, self.depth_unit), labels.depth
        )
        return labels

    @property
    def _folders(self) -> list[Path]:
        return [Path(f) for f in (self.semantics_folder, self.depth_folder) if f is not None]

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
        folder: Path | None,
        token: str,
        convert: Callable[[npt.NDArray[Any]], npt.NDArray[Any]],
        out: npt.NDArray[Any],
    ) -> None:
        if folder is None:
            out[:] = 0
            return
        geometry = self.header.geometry
        raster = (geometry.height, geometry.width)
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
            wanted = raster if self.on_raster else camera.image_size
            if array.shape != wanted:
                raise LabelStoreError(
                    f"label file '{path}' must hold {list(wanted)} pixels of "
                    f"{camera.name}, got {list(array.shape)}"
                )
            try:
                out[row] = convert(array if self.on_raster else _nearest(array, camera, raster))
            except LabelStoreError as error:
                raise LabelStoreError(f"label file '{path}': {error}") from error


def _load(path: Path) -> npt.NDArray[Any]:
    try:
        if path.suffix == _PICTURE:
            return _load_picture(path)
        array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise LabelStoreError(f"label file '{path}' is missing") from error
    except (OSError, ValueError, EOFError, SyntaxError, UnidentifiedImageError) as error:
        raise LabelStoreError(f"label file '{path}' cannot be used: {error}") from error
    if not isinstance(array, np.ndarray):
        raise LabelStoreError(f"label file '{path}' is an archive, not one array")
    return array


def _load_picture(path: Path) -> npt.NDArray[Any]:
    with Image.open(path) as picture:
        if picture.mode not in _PICTURE_MODES:
            raise ValueError(f"its pixels are of PIL mode '{picture.mode}', not one integer each")
        return np.asarray(picture).astype(np.int32)


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


def _depth_of(array: npt.NDArray[Any], unit: float | None) -> npt.NDArray[Any]:
    if array.dtype.kind in "ui" and unit is not None:
        array = array.astype(np.float32) * np.float32(unit)
    if array.dtype.kind != "f":
        raise LabelStoreError(f"depth must be floating-point metres, got {array.dtype}")
    if not bool(np.isfinite(array).all()) or float(array.min()) < 0:
        raise LabelStoreError("depth holds a negative, infinite or NaN number")
    return array.astype(np.float32)
