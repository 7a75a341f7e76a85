"""A recording's calibration.yaml: the cameras of a vehicle, in the order the network learns them.

The vehicle's frame is REP-103's (x forward, y left, z up), a camera's is its optical frame (x right,
y down, z forward). Images are rectified: a pinhole matrix says all about them. Metres and pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import yaml

from gfocc_core.atomic_file import write_atomically
from gfocc_core.data.recording_layout import SAFE_NAME
from gfocc_core.data.scenes import DatasetError

UNIT_TOLERANCE = 0.01
"""How far from 1 a quaternion's length may be; it is normalised then."""
_STEEP = math.sin(math.radians(60))
_HEADER = """\
# Cameras of one vehicle, in the order the network learns them; images are rectified (pinhole).
# vehicle_from_camera maps points of the camera's optical frame (x right, y down, z forward) into
# the vehicle's frame (REP-103: x forward, y left, z up). Metres and pixels.
"""


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mapping of the file; a key that is not known is an error."""


class Translation(_Strict, frozen=True):
    x: float
    y: float
    z: float


class Rotation(_Strict, frozen=True):
    """A unit quaternion."""

    x: float
    y: float
    z: float
    w: float


class Mount(_Strict, frozen=True):
    """Maps points of the camera's optical frame into the vehicle's frame."""

    translation: Translation
    rotation: Rotation


class Intrinsics(_Strict, frozen=True):
    """In pixels of the images, as in the P of CameraInfo."""

    fx: float
    fy: float
    cx: float
    cy: float


class RecordedCamera(_Strict, frozen=True, omit_defaults=True):
    """One camera as the file describes it."""

    name: str
    width: int
    height: int
    intrinsics: Intrinsics | list[list[float]]
    """Four numbers by name, or the 3 x 3 matrix K."""
    vehicle_from_camera: Mount
    distortion: str | list[float] | None = None
    """Only to say that there is none: `none`, or zeros."""

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.height, self.width

    @property
    def matrix(self) -> npt.NDArray[np.float64]:
        """Pinhole matrix [3, 3]."""
        k = self.intrinsics
        if isinstance(k, Intrinsics):
            return np.array([[k.fx, 0, k.cx], [0, k.fy, k.cy], [0, 0, 1]], np.float64)
        return np.array(k, np.float64)

    @property
    def pose(self) -> npt.NDArray[np.float64]:
        """vehicle_from_camera [7]: translation and unit quaternion wxyz."""
        t, r = self.vehicle_from_camera.translation, self.vehicle_from_camera.rotation
        quaternion = np.array([r.w, r.x, r.y, r.z])
        return np.concatenate([[t.x, t.y, t.z], quaternion / np.linalg.norm(quaternion)])

    @property
    def looks_steeply(self) -> bool:
        """Whether the optical axis is nearer to the vertical than 30 degrees.

        That is what a level camera's pose looks like when it is one of the camera's body (x forward)
        instead of the optical frame.
        """
        x, y = self.pose[4:6]
        return bool(abs(1 - 2 * (x * x + y * y)) > _STEEP)


class _Calibration(_Strict, frozen=True):
    cameras: list[RecordedCamera]


def read_calibration(path: Path) -> tuple[RecordedCamera, ...]:
    """The cameras of a calibration.yaml, checked.

    Raises:
        DatasetError: names the file and the field that is missing, unknown or impossible.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise DatasetError(f"calibration '{path}' cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DatasetError(f"calibration '{path}' is not YAML: {error}") from error
    try:
        cameras = msgspec.convert(content, _Calibration).cameras
    except msgspec.ValidationError as error:
        where = str(error).replace("`$.", "`").replace("`$`", "the top level")
        raise DatasetError(f"calibration '{path}': {where}") from error
    try:
        check_cameras(cameras)
    except ValueError as error:
        raise DatasetError(f"calibration '{path}': {error}") from error
    return tuple(cameras)


def write_calibration(path: Path, cameras: Sequence[RecordedCamera]) -> None:
    """Write what read_calibration reads; ValueError for what it would refuse, OSError."""
    check_cameras(cameras)
    content = yaml.safe_dump(
        msgspec.to_builtins(_Calibration(list(cameras))), sort_keys=False, default_flow_style=None
    )
    write_atomically(path, lambda file: file.write((_HEADER + content).encode()))


def check_cameras(cameras: Sequence[RecordedCamera]) -> None:
    """Raise ValueError that names the field of a calibration that is impossible."""
    if not cameras:
        raise ValueError("cameras is empty: a vehicle needs at least one")
    names = [camera.name for camera in cameras]
    for number, camera in enumerate(cameras):
        field = f"cameras[{number}]"
        if not SAFE_NAME.fullmatch(camera.name):
            raise ValueError(
                f"{field}.name must be letters, digits, '.', '_' and '-', got '{camera.name}'"
            )
        if names.index(camera.name) != number:
            raise ValueError(f"{field}.name '{camera.name}' is given to two cameras")
        _check_camera(camera, f"{field} ({camera.name})")


def _check_camera(camera: RecordedCamera, field: str) -> None:
    for name in ("width", "height"):
        if getattr(camera, name) < 1:
            raise ValueError(f"{field}.{name} must be positive, got {getattr(camera, name)}")
    k = camera.intrinsics
    if not isinstance(k, Intrinsics) and [len(row) for row in k] != [3, 3, 3]:
        raise ValueError(f"{field}.intrinsics must be fx, fy, cx, cy or 3 rows of 3, got {k}")
    matrix = camera.matrix
    if not np.isfinite(matrix).all() or not (matrix.diagonal()[:2] > 0).all():
        raise ValueError(
            f"{field}.intrinsics must be finite with positive focal lengths, got {matrix.tolist()}"
        )
    if matrix[2].tolist() != [0, 0, 1] or matrix[1, 0] != 0:
        raise ValueError(
            f"{field}.intrinsics must be a pinhole matrix: 0 below the diagonal and 0 0 1 in the "
            f"last row, got {matrix.tolist()}"
        )
    mount = camera.vehicle_from_camera
    t, r = mount.translation, mount.rotation
    if not all(map(math.isfinite, (t.x, t.y, t.z))):
        raise ValueError(f"{field}.vehicle_from_camera.translation must be finite metres")
    length = math.hypot(r.x, r.y, r.z, r.w)
    if not abs(length - 1) <= UNIT_TOLERANCE:
        raise ValueError(
            f"{field}.vehicle_from_camera.rotation must be a unit quaternion, its length is {length}"
        )
    _check_rectified(camera, field)


def _check_rectified(camera: RecordedCamera, field: str) -> None:
    found = camera.distortion
    if found is None or found == "none":
        return
    if isinstance(found, str) or any(found):
        raise ValueError(
            f"{field}.distortion must be none, got {found}: images of a recording are rectified; "
            "bag_to_recording rectifies those of a bag, and then give the rectified intrinsics"
        )
