"""Which topics of a bag are a camera's: its images and its CameraInfo, for the exporter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gfocc_core.data.recording_layout import SAFE_NAME
from gfocc_ros.bags.command import BagError
from gfocc_ros.bags.recording import RecordedTopic

COMPRESSED: Final = "sensor_msgs/msg/CompressedImage"
RAW: Final = "sensor_msgs/msg/Image"
CAMERA_INFO: Final = "sensor_msgs/msg/CameraInfo"

_RECTIFIED: Final = "image_rect"
_BASES: Final = (_RECTIFIED, "image_rect_color", "image_color", "image_raw", "image")
"""Names that drivers and image_proc give to images; the first that a bag has is taken."""
_TRANSPORT: Final = "/compressed"


@dataclass(frozen=True)
class CameraTopics:
    """One camera of a bag."""

    name: str
    images: RecordedTopic
    info: RecordedTopic

    @property
    def is_rectified(self) -> bool:
        """Whether the images are said to be rectified: their topic's name begins image_rect."""
        base = self.images.name.removesuffix(_TRANSPORT)
        return base.rsplit("/", 1)[-1].startswith(_RECTIFIED)


def find_camera(topics: Sequence[RecordedTopic], wanted: str) -> CameraTopics:
    """The topics of a camera.

    Args:
        topics: Of the bag.
        wanted: `name`, whose images are on /name/image_rect/compressed or another usual topic there,
            or `name=topic`. CameraInfo comes beside the images, as image_transport has it.

    Raises:
        BagError: the name cannot be used, or the bag lacks such a topic.
    """
    name, given, topic = wanted.partition("=")
    if not SAFE_NAME.fullmatch(name):
        raise BagError(
            f"camera '{wanted}' must be a name of letters, digits, '.', '_' and '-', or such a "
            "name=/topic/of/its/images"
        )
    image_topics = {t.name: t for t in topics if t.type_name in (COMPRESSED, RAW)}
    candidates = [topic] if given else [f"/{name}/{b}{t}" for b in _BASES for t in (_TRANSPORT, "")]
    images = next((image_topics[c] for c in candidates if c in image_topics), None)
    if images is None:
        where = f"'{topic}'" if given else f"'/{name}/{_RECTIFIED}{_TRANSPORT}' or the like"
        raise BagError(
            f"camera '{name}' has no images on {where}; the bag has images on: "
            + (", ".join(image_topics) or "no topic at all")
        )
    info_name = images.name.removesuffix(_TRANSPORT).rsplit("/", 1)[0] + "/camera_info"
    for found in topics:
        if found.name == info_name and found.type_name == CAMERA_INFO:
            return CameraTopics(name, images, found)
    raise BagError(f"camera '{name}' has no sensor_msgs/CameraInfo on '{info_name}'")
