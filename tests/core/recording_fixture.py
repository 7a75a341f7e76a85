"""A small recording: a vehicle that drives a curve past four cameras' worth of random images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from gfocc_core.data.recording_calibration import (
    Intrinsics,
    Mount,
    RecordedCamera,
    Rotation,
    Translation,
    write_calibration,
)
from gfocc_core.data.recording_layout import CALIBRATION_FILE, IMAGE_FOLDER
from gfocc_core.data.recording_poses import PosePath, write_poses

CAMERAS = ("front", "left", "back", "right")
WIDTH, HEIGHT = 32, 24
START_NS = 1_700_000_000_000_000_123
SECOND = 1_000_000_000

# Unit quaternions x, y, z, w of level cameras that look forward, left, back and right.
ROTATIONS = {
    "front": (-0.5, 0.5, -0.5, 0.5),
    "left": (0.5**0.5, 0.0, 0.0, -(0.5**0.5)),
    "back": (-0.5, -0.5, 0.5, 0.5),
    "right": (0.0, 0.5**0.5, -(0.5**0.5), 0.0),
}


def cameras(names: Sequence[str] = CAMERAS) -> list[RecordedCamera]:
    return [
        RecordedCamera(
            name,
            WIDTH,
            HEIGHT,
            Intrinsics(20.0 + number, 21.0 + number, 16.0, 12.0),
            Mount(Translation(1.0 + number, 0.5, 1.5), Rotation(*ROTATIONS[name])),
        )
        for number, name in enumerate(names)
    ]


def stamps(seconds: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Since the recording's start."""
    return START_NS + np.round(np.asarray(seconds, np.float64) * SECOND).astype(np.int64)


def pose_at(seconds: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """[N, 7] of a vehicle with 4 m/s that turns left by 0.5 rad/s, wxyz."""
    time = np.atleast_1d(np.asarray(seconds, np.float64))
    half, zero = 0.25 * time, np.zeros_like(time)
    return np.stack([4 * time, zero, zero, np.cos(half), zero, zero, np.sin(half)], -1)


@dataclass(frozen=True)
class Drive:
    """When what came, in seconds since the start."""

    images: Mapping[str, npt.ArrayLike]
    poses: npt.ArrayLike


def steady(seconds: float = 3.0, rate_hz: float = 10.0) -> Drive:
    """All cameras at one rate, one 10 ms after the other; poses at 20 Hz from before to after."""
    times = np.arange(0, seconds, 1 / rate_hz)
    shown = {name: times + 0.01 * number for number, name in enumerate(CAMERAS)}
    return Drive(shown, np.arange(-0.1, seconds + 0.1, 0.05))


def write_recording(folder: Path, drive: Drive | None = None) -> Path:
    drive = drive or steady()
    random = np.random.default_rng(0)
    for name, times in drive.images.items():
        images = folder / IMAGE_FOLDER / name
        images.mkdir(parents=True)
        for stamp in stamps(times).tolist():
            pixels = random.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
            Image.fromarray(pixels).save(images / f"{stamp}.jpg")
    write_poses(folder, PosePath(stamps(drive.poses), pose_at(drive.poses)))
    write_calibration(folder / CALIBRATION_FILE, cameras(tuple(drive.images)))
    return folder
