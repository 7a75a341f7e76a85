"""What of a scene goes into a bag: which topics, which cameras, sweeps or keyframes only."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from gfocc_ros.bags.command import BagError

CAMERAS, LIDAR, RADAR = "cameras", "lidar", "radar"
ODOMETRY, ANNOTATIONS, OCCUPANCY = "odometry", "annotations", "occupancy"

TOPIC_GROUPS: tuple[str, ...] = (CAMERAS, LIDAR, RADAR, ODOMETRY, ANNOTATIONS, OCCUPANCY)
"""What can be chosen; `/tf` and `/tf_static` are always written."""


@dataclass(frozen=True)
class BagContent:
    """A choice of a scene's data; the default is all that the dataset has."""

    topics: tuple[str, ...] | None = None
    """Groups of TOPIC_GROUPS, each of which the dataset must have; None: those it has."""
    cameras: tuple[str, ...] | None = None
    """Channels such as CAM_FRONT; None: every camera."""
    keyframes_only: bool = False
    """Whether the sensors' sweeps between the keyframes are left out. All ego poses stay."""
    annotation_text: bool = False
    """Whether every annotated box gets a text with its class and number."""

    def __post_init__(self) -> None:
        for name in self.topics or ():
            if name not in TOPIC_GROUPS:
                raise BagError(f"topics must be of {', '.join(TOPIC_GROUPS)}, got '{name}'")
        for field, chosen in (("topics", self.topics), ("cameras", self.cameras)):
            if chosen is not None and not chosen:
                raise BagError(f"{field} must name at least one, got none")
        if self.cameras is not None and not self.may_hold(CAMERAS):
            raise BagError(
                f"cameras are chosen ({', '.join(self.cameras)}), but topics leaves them out"
            )
        if self.annotation_text and not self.may_hold(ANNOTATIONS):
            raise BagError("annotation_text is set, but topics leaves annotations out")

    def may_hold(self, group: str) -> bool:
        """Whether a group is chosen, or would be if the dataset has it."""
        return self.topics is None or group in self.topics

    def demands(self, group: str) -> bool:
        """Whether a group was named, so that its absence from the dataset is an error."""
        return self.topics is not None and group in self.topics

    def describe(self) -> str:
        """The choice as one line of JSON, the same for the same choice; kept in the bag."""
        values = asdict(self)
        for field in ("topics", "cameras"):
            if values[field] is not None:
                values[field] = sorted(set(values[field]))
        return json.dumps(values)
