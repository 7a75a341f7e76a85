"""The path of a recording's vehicle: poses.csv or poses.tum, and the pose at any stamp in between.

A pose maps points of the vehicle's frame into one that does not move and does not jump (REP-105:
odom, not map). Both files hold a pose per line, oldest first:

    poses.csv  stamp_ns,x,y,z,qx,qy,qz,qw     with this first line; stamps in integer nanoseconds
    poses.tum  stamp x y z qx qy qz qw        stamps in decimal seconds; lines with # are comments
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gfocc_core.atomic_file import write_atomically
from gfocc_core.data.recording_calibration import UNIT_TOLERANCE
from gfocc_core.data.recording_layout import POSES_CSV, POSES_TUM
from gfocc_core.data.scenes import DatasetError

COLUMNS = ("stamp_ns", "x", "y", "z", "qx", "qy", "qz", "qw")
_SAME_DIRECTION = 1e-7
"""Angle (rad) below which slerp's sines say no more than a straight line does."""

Floats = npt.NDArray[np.float64]
Stamps = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PosePath:
    """Where the vehicle was, oldest first and no stamp twice."""

    stamps_ns: Stamps
    """int64 [P]"""
    poses: Floats
    """float64 [P, 7] fixed_from_vehicle: translation in metres, unit quaternion wxyz."""

    def at(self, stamps_ns: Stamps, longest_gap_s: float) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Poses at some stamps: straight in translation, slerp in rotation.

        Args:
            stamps_ns: int64 [N]
            longest_gap_s: Between two poses that lie farther apart nothing is known.

        Returns:
            Poses float64 [N, 7], and bool [N] whether they are known; outside the path and inside
            a gap they are not (and mean nothing).
        """
        after = np.searchsorted(self.stamps_ns, stamps_ns)
        exact = (after < len(self.stamps_ns)) & (
            self.stamps_ns[np.minimum(after, len(self.stamps_ns) - 1)] == stamps_ns
        )
        after = np.clip(after, min(1, len(self.stamps_ns) - 1), len(self.stamps_ns) - 1)
        before = np.maximum(after - 1, 0)
        start, end = self.stamps_ns[before], self.stamps_ns[after]
        inside = (stamps_ns >= start) & (stamps_ns <= end)
        known = exact | (inside & (end - start <= longest_gap_s * 1e9))
        ratio = (stamps_ns - start) / np.maximum(end - start, 1)
        return _between(self.poses[before], self.poses[after], np.clip(ratio, 0, 1)), known


def read_poses(recording: Path) -> PosePath:
    """The path of a recording.

    Raises:
        DatasetError: neither file is there or both are, or a line cannot be used; names the line.
    """
    csv, tum = recording / POSES_CSV, recording / POSES_TUM
    if csv.is_file() == tum.is_file():
        found = "it has both" if csv.is_file() else "it has neither"
        raise DatasetError(f"recording '{recording}' needs {POSES_CSV} or {POSES_TUM}, {found}")
    path = csv if csv.is_file() else tum
    stamps: list[int] = []
    poses: list[list[float]] = []
    try:
        for number, words in _lines(path):
            where = f"poses '{path}' line {number}"
            stamps.append(_stamp(words[0], path == tum, where))
            poses.append(_pose(words[1:], where))
            if len(stamps) > 1 and stamps[-1] <= stamps[-2]:
                raise DatasetError(f"{where}: the stamp is not after the one before it")
    except OSError as error:
        raise DatasetError(f"poses '{path}' cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"poses '{path}' are no text: {error}") from error
    if not stamps:
        raise DatasetError(f"poses '{path}' hold no pose")
    return PosePath(np.array(stamps, np.int64), np.array(poses, np.float64))


def write_poses(recording: Path, path: PosePath) -> None:
    """Write poses.csv, exactly; OSError."""
    rows = [",".join(COLUMNS)]
    for stamp, pose in zip(path.stamps_ns.tolist(), path.poses.tolist(), strict=True):
        x, y, z, qw, qx, qy, qz = pose
        rows.append(",".join([str(stamp), *(repr(v) for v in (x, y, z, qx, qy, qz, qw))]))
    text = "\n".join(rows) + "\n"
    write_atomically(recording / POSES_CSV, lambda file: file.write(text.encode()))


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Number and words of every line that holds a pose."""
    separator = "," if path.name == POSES_CSV else None
    header_due = path.name == POSES_CSV
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip() or line.startswith("#"):
                continue
            words = [word.strip() for word in line.split(separator)]
            if header_due:
                header_due = False
                if tuple(words) != COLUMNS:
                    raise DatasetError(
                        f"poses '{path}' line {number} must be the header {','.join(COLUMNS)}"
                    )
                continue
            if len(words) != len(COLUMNS):
                raise DatasetError(
                    f"poses '{path}' line {number}: {len(COLUMNS)} values are needed, a stamp and "
                    f"x y z qx qy qz qw, got {len(words)}"
                )
            yield number, words


def _stamp(word: str, in_seconds: bool, where: str) -> int:
    try:
        stamp = int(Decimal(word) * 10**9) if in_seconds else int(word)
    except (ValueError, InvalidOperation, OverflowError):
        stamp = -1
    if not 0 <= stamp < 2**63:
        unit = "seconds" if in_seconds else "integer nanoseconds"
        raise DatasetError(f"{where}: stamp must be {unit} since an epoch, got '{word}'")
    return stamp


def _pose(words: list[str], where: str) -> list[float]:
    try:
        values = [float(word) for word in words]
    except ValueError as error:
        raise DatasetError(f"{where}: {error}") from error
    for name, value in zip(COLUMNS[1:], values, strict=True):
        if not math.isfinite(value):
            raise DatasetError(f"{where}: {name} must be finite, got {value}")
    x, y, z, qx, qy, qz, qw = values
    length = math.hypot(qx, qy, qz, qw)
    if abs(length - 1) > UNIT_TOLERANCE:
        raise DatasetError(f"{where}: qx qy qz qw must have length 1, got {length}")
    return [x, y, z, *(value / length for value in (qw, qx, qy, qz))]


def _between(first: Floats, second: Floats, ratio: Floats) -> Floats:
    """Poses [N, 7] at a ratio [N] of the way from the first to the second."""
    ratio = ratio[:, None]
    p, q = first[:, 3:], second[:, 3:]
    q = np.where((p * q).sum(-1, keepdims=True) < 0, -q, q)
    apart = np.linalg.norm(p - q, axis=-1, keepdims=True)
    angle = 2 * np.arctan2(apart, np.linalg.norm(p + q, axis=-1, keepdims=True))
    straight = angle < _SAME_DIRECTION
    sine = np.sin(np.where(straight, 1, angle))
    keep = np.where(straight, 1 - ratio, np.sin((1 - ratio) * angle) / sine)
    take = np.where(straight, ratio, np.sin(ratio * angle) / sine)
    rotation = keep * p + take * q
    rotation /= np.linalg.norm(rotation, axis=-1, keepdims=True)
    return np.concatenate([first[:, :3] + (second[:, :3] - first[:, :3]) * ratio, rotation], -1)
