"""Decode nuScenes tables record by record: only the fields the index needs, in bounded memory.

For nuscenes_index. trainval's `sample_data` and `ego_pose` hold 2.6 million records each; the
devkit's way of loading them whole takes minutes and tens of gigabytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from gfocc_core.data.scenes import DatasetError

CHUNK_BYTES = 16 * 2**20
_GIVE_UP_BYTES = 16 * CHUNK_BYTES
_NEXT_RECORD = re.compile(rb"\}\s*,\s*(?=\{)")
_BOUNDARY_WINDOW = 2**20

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]


class Scene(msgspec.Struct, gc=False):
    token: str
    name: str
    first_sample_token: str


class Sample(msgspec.Struct, gc=False):
    token: str
    scene_token: str
    next: str


class Sensor(msgspec.Struct, gc=False):
    token: str
    channel: str
    modality: str


class CalibratedSensor(msgspec.Struct, gc=False):
    token: str
    sensor_token: str
    translation: Vector
    rotation: Quaternion
    camera_intrinsic: list[list[float]]


class EgoPose(msgspec.Struct, gc=False):
    token: str
    translation: Vector
    rotation: Quaternion


class SampleData(msgspec.Struct, gc=False):
    token: str
    sample_token: str
    ego_pose_token: str
    calibrated_sensor_token: str
    timestamp: int
    is_key_frame: bool
    filename: str
    height: int | None = None
    width: int | None = None


TABLES: dict[str, type[msgspec.Struct]] = {
    "sensor": Sensor,
    "calibrated_sensor": CalibratedSensor,
    "scene": Scene,
    "sample": Sample,
    "sample_data": SampleData,
    "ego_pose": EgoPose,
}
"""The tables an index is made from."""

RecordT = TypeVar("RecordT", bound=msgspec.Struct)


def table_folder(dataroot: Path | str, version: str) -> Path:
    """Where a version's tables lie; DatasetError where there is no such folder."""
    root = Path(dataroot)
    if not root.is_dir():
        raise DatasetError(f"dataroot '{root}' is not a folder")
    folder = root / version
    if not version or not folder.is_dir():
        found = sorted(path.parent.name for path in root.glob("*/scene.json"))
        raise DatasetError(
            f"version '{version}' is not in dataroot '{root}'; it holds: "
            + (", ".join(found) or "no version at all")
        )
    return folder


def table_file(folder: Path, table: str) -> Path:
    """The file of a table; DatasetError where it is missing."""
    path = folder / f"{table}.json"
    if not path.is_file():
        raise DatasetError(f"table '{path}' is missing")
    return path


def iter_records(
    folder: Path,
    record: type[RecordT],
    on_bytes: Callable[[int], None] = lambda count: None,
    chunk_bytes: int = CHUNK_BYTES,
) -> Iterator[RecordT]:
    """The records of the table that `record` describes, in the file's order.

    Args:
        folder: From table_folder.
        record: One of TABLES' types; fields it lacks are skipped without being decoded.
        on_bytes: Called with the number of bytes read since the last call.
        chunk_bytes: How much is read and decoded at a time.

    Raises:
        DatasetError: the table is missing, is not a list of records, or a record lacks a field
            or holds a value of another type.
    """
    table = next(name for name, kind in TABLES.items() if kind is record)
    path = table_file(folder, table)
    decoder = msgspec.json.Decoder(list[record])  # type: ignore[valid-type]
    done = 0
    try:
        with open(path, "rb") as file:
            pending = bytearray()
            while chunk := file.read(max(chunk_bytes, len(pending))):
                on_bytes(len(chunk))
                pending += chunk
                records, used = _decode_whole_records(decoder, pending)
                yield from records
                done += len(records)
                if used:
                    pending[:used] = b"["
            yield from decoder.decode(pending)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OSError) as error:
        place = f" after its record {done}" if done else ""
        raise DatasetError(f"table '{path}' is corrupt{place}: {error}") from error


def _decode_whole_records(
    decoder: msgspec.json.Decoder[list[RecordT]], pending: bytearray
) -> tuple[list[RecordT], int]:
    """Records at the start of `[{...}, {...}, {..`, and how many bytes they and the `[` take.

    What looks like the gap between two records may lie in a string or a nested list; such a cut
    leaves a quote or bracket open, so only a true gap decodes.
    """
    window = max(0, len(pending) - _BOUNDARY_WINDOW)
    gaps = [match.span() for match in _NEXT_RECORD.finditer(pending, window)]
    for start, end in reversed(gaps[-4:]):
        try:
            return decoder.decode(pending[: start + 1] + b"]"), end
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            if len(pending) > _GIVE_UP_BYTES:
                raise
    return [], 0
