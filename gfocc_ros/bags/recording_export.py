"""Write a bag as a recording, the folder that training/index_recording.py indexes.

A recording appears whole: it is filled in a hidden folder beside its place and moved there in the
end. What an interrupted export has written stays in that folder, and the next one goes on with it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gfocc_core.data.recording_calibration import (
    Mount,
    RecordedCamera,
    Rotation,
    Translation,
    write_calibration,
)
from gfocc_core.data.recording_layout import CALIBRATION_FILE, IMAGE_FOLDER, SAFE_NAME
from gfocc_core.data.recording_poses import write_poses
from gfocc_core.images import ImageDecodeError
from gfocc_ros.bags.camera_topics import CameraTopics, find_camera
from gfocc_ros.bags.command import BagError
from gfocc_ros.bags.decoding import decode
from gfocc_ros.bags.recorded_calibration import read_calibrations
from gfocc_ros.bags.recorded_tf import read_transforms
from gfocc_ros.bags.recording import Recording
from gfocc_ros.bags.rectification import Rectifier
from gfocc_ros.bags.unfinished_folder import read_source, unfinished_folder

Progress = Callable[[int, int], None]
"""Called with the number of images done and in all."""


@dataclass(frozen=True)
class ExportOptions:
    """What of a bag becomes a recording."""

    cameras: tuple[str, ...]
    """In the order the network shall learn them, see find_camera."""
    base_frame: str = "base_link"
    """tf frame of the vehicle (x forward, y left, z up)."""
    fixed_frame: str = "odom"
    """tf frame that does not move and never jumps."""

    def __post_init__(self) -> None:
        names = [camera.partition("=")[0] for camera in self.cameras]
        if not names or len(set(names)) < len(names):
            raise BagError(f"cameras must be one or more names, each once, got {names}")


@dataclass
class ExportReport:
    """What became of a bag."""

    images: Counter[str] = field(default_factory=Counter)
    """By camera, those of an earlier, interrupted export included."""
    poses: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    """Images that were left out, by camera and reason."""
    first_problem: dict[str, str] = field(default_factory=dict)
    """Of a reason, in words."""


@dataclass
class _Camera:
    topics: CameraTopics
    rectifier: Rectifier
    frame_id: str | None = None
    """Of its first image, which all others share."""
    mount: npt.NDArray[np.float64] | None = None
    """base_from_frame [7], translation and quaternion wxyz, known from the first image on."""
    stamps: set[int] = field(default_factory=set)


def export_recording(
    bag: Path, dataroot: Path, options: ExportOptions, on_progress: Progress
) -> ExportReport | None:
    """Write `<dataroot>/<name of the bag>`; None where that is there already, from this bag.

    Raises:
        BagError: the bag lacks or contradicts something, or something else is in the way.
        OSError: from the file system; what was written stays for the next time.
    """
    name = bag.stem if bag.is_file() else bag.resolve().name
    if not SAFE_NAME.fullmatch(name):
        raise BagError(f"bag '{bag}' must be called by letters, digits, '.', '_' and '-'")
    out = dataroot / name
    with Recording(bag) as recording:
        source = _source_of(recording, options)
        if out.exists() or out.is_symlink():
            if read_source(out) == source:
                return None
            raise BagError(
                f"'{out}' exists already and is not the recording of bag '{bag}' with these "
                "options; it is not overwritten"
            )
        export = _Export(recording, options)
        dataroot.mkdir(parents=True, exist_ok=True)
        with unfinished_folder(dataroot / f".{name}.partial", source) as unfinished:
            export.write(unfinished, on_progress)
            os.sync()
            unfinished.rename(out)
    return export.report


class _Export:
    """One bag: looked through at construction, which raises BagError, then written."""

    def __init__(self, recording: Recording, options: ExportOptions) -> None:
        topics = recording.topics()
        found = [find_camera(topics, wanted) for wanted in options.cameras]
        self._recording = recording
        self._base_frame = options.base_frame
        self._transforms = read_transforms(recording)
        self._path = self._transforms.path(options.fixed_frame, options.base_frame)
        rectifiers = read_calibrations(recording, found)
        self._cameras = {c.images.name: _Camera(c, rectifiers[c.info.name]) for c in found}
        if len(self._cameras) < len(found):
            raise BagError("two cameras have the same topic of images")
        self.report = ExportReport(poses=len(self._path.stamps_ns))

    def write(self, out: Path, on_progress: Progress) -> None:
        """Fill a folder, which may hold images of an earlier, interrupted export."""
        topics = [camera.topics.images for camera in self._cameras.values()]
        for camera in self._cameras.values():
            (out / IMAGE_FOLDER / camera.topics.name).mkdir(parents=True, exist_ok=True)
        total = sum(topic.num_messages for topic in topics)
        on_progress(0, total)
        for done, message in enumerate(self._recording.messages(topics), 1):
            camera = self._cameras[message.topic]
            image = decode(message, camera.topics.images.type_name)
            self._check_frame(camera, image.header.frame_id.lstrip("/"))
            _write_image(out, camera, image, self.report)
            on_progress(done, total)
        described = [self._describe(camera) for camera in self._cameras.values()]
        write_poses(out, self._path)
        try:
            write_calibration(out / CALIBRATION_FILE, described)
        except ValueError as error:
            raise BagError(f"its calibration cannot be used: {error}") from error

    def _check_frame(self, camera: _Camera, frame_id: str) -> None:
        if camera.frame_id is None:
            camera.frame_id = frame_id
            camera.mount = self._transforms.mount(self._base_frame, frame_id)
        if frame_id != camera.frame_id:
            raise BagError(
                f"images of camera '{camera.topics.name}' come with two frames, "
                f"'{camera.frame_id}' and '{frame_id}'"
            )

    def _describe(self, camera: _Camera) -> RecordedCamera:
        name = camera.topics.name
        if camera.mount is None or not self.report.images[name]:
            problems = self.report.first_problem.items()
            reason = next((why for of, why in problems if of.startswith(f"{name}:")), "it has none")
            raise BagError(f"camera '{name}' has no image of use: {reason}")
        x, y, z, qw, qx, qy, qz = camera.mount.tolist()
        height, width = camera.rectifier.image_size
        return RecordedCamera(
            name=name,
            width=width,
            height=height,
            intrinsics=camera.rectifier.intrinsics.tolist(),
            vehicle_from_camera=Mount(Translation(x, y, z), Rotation(qx, qy, qz, qw)),
        )


def _write_image(out: Path, camera: _Camera, image: Any, report: ExportReport) -> None:
    name, stamp = camera.topics.name, image.header.stamp
    stamp_ns = stamp.sec * 1_000_000_000 + stamp.nanosec
    if stamp_ns <= 0 or stamp_ns in camera.stamps:
        report.skipped[f"{name}: {'without a stamp' if stamp_ns <= 0 else 'duplicated'}"] += 1
        return
    camera.stamps.add(stamp_ns)
    target = out / IMAGE_FOLDER / name / f"{stamp_ns}.jpg"
    if not (target.is_file() or target.with_suffix(".png").is_file()):
        try:
            data, suffix = camera.rectifier.encode(image, camera.topics.images.type_name)
        except ImageDecodeError as error:
            report.skipped[f"{name}: cannot be used"] += 1
            report.first_problem.setdefault(f"{name}: cannot be used", str(error))
            return
        partial = target.with_name(f".{stamp_ns}.partial")
        partial.write_bytes(data)
        partial.replace(target.with_suffix(suffix))
    report.images[name] += 1


def _source_of(recording: Recording, options: ExportOptions) -> dict[str, Any]:
    """Two exports of equal source write the same."""
    return {
        "start_ns": recording.start_ns,
        "messages": {t.name: t.num_messages for t in recording.topics()},
        "cameras": list(options.cameras),
        "base_frame": options.base_frame,
        "fixed_frame": options.fixed_frame,
    }
