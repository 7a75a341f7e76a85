"""The calibration that each camera of a bag has throughout; for the exporter of recordings."""

from __future__ import annotations

from collections.abc import Sequence

from gfocc_ros.bags.camera_topics import CameraTopics
from gfocc_ros.bags.command import BagError
from gfocc_ros.bags.decoding import decode
from gfocc_ros.bags.recording import Recording
from gfocc_ros.bags.rectification import Rectifier
from gfocc_ros.frames.camera_info import CalibrationError


def read_calibrations(
    recording: Recording, cameras: Sequence[CameraTopics]
) -> dict[str, Rectifier]:
    """What CameraInfo makes of every camera's images, by its topic.

    Raises:
        BagError: a camera has none, one that changes within the bag, or one that cannot be used.
    """
    camera_of = {camera.info.name: camera for camera in cameras}
    first: dict[str, tuple[object, ...]] = {}
    made: dict[str, Rectifier] = {}
    for message in recording.messages([camera.info for camera in cameras]):
        camera = camera_of[message.topic]
        info = decode(message, camera.info.type_name)
        content = (
            *(info.height, info.width, info.distortion_model, info.binning_x, info.binning_y),
            *(tuple(numbers) for numbers in (info.d, info.k, info.r, info.p)),
            info.roi,
        )
        if first.setdefault(message.topic, content) != content:
            raise BagError(
                f"the calibration of camera '{camera.name}' changes within the bag: a recording has "
                "one, cut the bag there"
            )
        if message.topic in made:
            continue
        try:
            made[message.topic] = Rectifier.from_info(info, is_rectified=camera.is_rectified)
        except CalibrationError as error:
            raise BagError(f"camera '{camera.name}': {error}") from error
    for camera in cameras:
        if camera.info.name not in made:
            raise BagError(f"camera '{camera.name}' has no message on '{camera.info.name}'")
    return made
