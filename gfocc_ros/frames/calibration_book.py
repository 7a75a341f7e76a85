"""Which calibration an image was taken with, where a camera changes its own in mid-run.

Used by the frame builder, in one thread.
"""

from __future__ import annotations

from dataclasses import dataclass

from sensor_msgs.msg import CameraInfo

from gfocc_ros.frames.camera_info import Calibration, CalibrationError, calibration_from_message


@dataclass(frozen=True)
class _Entry:
    content: tuple[object, ...]
    since_ns: int
    calibration: Calibration | None
    fault: str = ""
    """Why there is no calibration."""


class CalibrationBook:
    """Remembers each camera's calibration and the one before it.

    An image that was taken before the change, but whose frame is formed after it, is still seen
    through the old one.
    """

    def __init__(self) -> None:
        self._current: dict[str, _Entry] = {}
        self._before: dict[str, _Entry] = {}

    def calibration(self, camera: str, latest: CameraInfo, image_stamp_ns: int) -> Calibration:
        """The calibration of an image, given the latest CameraInfo that came.

        Raises:
            CalibrationError: the one that holds for the image describes no pinhole camera.
        """
        content = _content(latest)
        current = self._current.get(camera)
        if current is None or current.content != content:
            if current is not None:
                self._before[camera] = current
            since_ns = latest.header.stamp.sec * 1_000_000_000 + latest.header.stamp.nanosec
            current = self._current[camera] = _read(latest, content, since_ns)
        holds = current
        if image_stamp_ns < current.since_ns:
            holds = self._before.get(camera, current)
        if holds.calibration is None:
            raise CalibrationError(holds.fault)
        return holds.calibration


def _content(info: CameraInfo) -> tuple[object, ...]:
    """All that a calibration is made of, comparable (NaN would differ from itself)."""
    roi = info.roi
    part = (roi.x_offset, roi.y_offset, roi.width, roi.height, roi.do_rectify)
    bins = (info.binning_x, info.binning_y)
    return (info.height, info.width, info.k.tobytes(), info.p.tobytes(), bins, part)


def _read(info: CameraInfo, content: tuple[object, ...], since_ns: int) -> _Entry:
    try:
        return _Entry(content, since_ns, calibration_from_message(info))
    except CalibrationError as error:
        return _Entry(content, since_ns, None, str(error))
