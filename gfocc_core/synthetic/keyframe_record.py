"""What the tables need to know of a finished keyframe: one small JSON file, written after its data."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
from pyquaternion import Quaternion

from gfocc_core.atomic_file import write_atomically
from gfocc_core.data.scenes import DatasetError


class PoseRecord(msgspec.Struct, frozen=True):
    """A rigid transform as the tables write it: metres, quaternion wxyz."""

    translation: tuple[float, float, float]
    rotation: tuple[float, float, float, float]

    @classmethod
    def of(cls, matrix: npt.NDArray[np.float64]) -> PoseRecord:
        """From [4, 4]."""
        x, y, z = matrix[:3, 3].tolist()
        turn = Quaternion(matrix=matrix[:3, :3], rtol=1e-6, atol=1e-6)
        return cls((x, y, z), tuple(turn.normalised.elements.tolist()))


class ReadingRecord(msgspec.Struct, frozen=True):
    """One image or sweep."""

    channel: str
    timestamp_us: int
    filename: str
    """Below the dataset's folder."""
    is_key_frame: bool
    global_from_ego: PoseRecord


class AnnotationRecord(msgspec.Struct, frozen=True):
    """One object's box."""

    object: int
    """Index in the scene's world."""
    category: str
    attribute: str | None
    visibility: str
    """Token of VISIBILITY_LEVELS."""
    global_from_box: PoseRecord
    size_wlh: tuple[float, float, float]
    lidar_points: int


class KeyframeRecord(msgspec.Struct, frozen=True):
    """One finished keyframe, with the images between it and the next."""

    token: str
    timestamp_us: int
    readings: tuple[ReadingRecord, ...]
    annotations: tuple[AnnotationRecord, ...]
    other_files: tuple[str, ...]
    """What else belongs to it, below the dataset's folder."""

    def is_whole(self, out: Path) -> bool:
        """Whether all its files are there."""
        names = (*(reading.filename for reading in self.readings), *self.other_files)
        return all((out / name).is_file() for name in names)


_decoder = msgspec.json.Decoder(KeyframeRecord)


def write_record(path: Path, record: KeyframeRecord) -> None:
    """Write atomically; makes the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda file: file.write(msgspec.json.encode(record)))


def read_record(path: Path) -> KeyframeRecord:
    """Inverse of write_record; DatasetError names a file that is missing or damaged."""
    try:
        return _decoder.decode(path.read_bytes())
    except (OSError, msgspec.MsgspecError) as error:
        raise DatasetError(f"keyframe record '{path}' cannot be used: {error}") from error
