"""A nuScenes scene as the stream of ROS messages its vehicle would have published.

Frames: map -> odom -> base_link -> sensors (see bag_poses).
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from rosbags.interfaces import Qos

from gfocc_core.data.frames import REFERENCE_CHANNEL
from gfocc_core.data.occ3d import occ3d_path
from gfocc_core.data.scenes import DatasetError, get_record, keyframe_tokens
from gfocc_core.data.sensors import (
    Record,
    calibration_of,
    ego_from_sensor,
    file_of,
    keyframe_reading,
    scene_readings,
    stamp_ns_of,
)
from gfocc_ros.bags.annotations import AnnotationMarkers
from gfocc_ros.bags.content import ANNOTATIONS, CAMERAS, OCCUPANCY, ODOMETRY, BagContent
from gfocc_ros.bags.messages import offered_qos, tf_message, transform
from gfocc_ros.bags.poses import BASE_FRAME, MAP_FRAME, ODOMETRY_TOPIC, TF_TOPIC, EgoPath
from gfocc_ros.bags.sensors import (
    GROUP_OF_MODALITY,
    TimedMessage,
    group_of,
    sensor_frame,
    sensor_messages,
)
from gfocc_ros.bags.truth import truth_cloud

if TYPE_CHECKING:
    from nuscenes.nuscenes import NuScenes

TF_STATIC_TOPIC: Final = "/tf_static"
ANNOTATIONS_TOPIC: Final = "/annotations"
TRUTH_TOPIC: Final = "/ground_truth/occupancy"


def topic_qos(topic: str) -> Qos:
    """The profile a topic is offered with; `/tf_static` is latched."""
    if topic == TF_STATIC_TOPIC:
        return offered_qos(depth=1, latched=True)
    return offered_qos(depth=100 if topic in (TF_TOPIC, ODOMETRY_TOPIC) else 10)


class SceneStream:
    """The messages of one scene in time order; iterating reads the sensors' files.

    Raises:
        DatasetError: unknown scene or one without readings, something chosen that the dataset
            lacks, missing files, contradicting calibration, and while iterating whatever is wrong
            with a record or a file (the message names it).
    """

    def __init__(self, nusc: NuScenes, scene_name: str, content: BagContent) -> None:
        self._nusc = nusc
        self._scene = scene_name
        self._content = content
        self._samples = [
            get_record(nusc, "sample", token) for token in keyframe_tokens(nusc, scene_name)
        ]
        self._all_readings: Sequence[Record] = scene_readings(nusc, scene_name)
        if not self._all_readings:
            raise DatasetError(f"scene '{scene_name}' has no reading of any sensor")
        self._mounted = self._one_calibration_each()
        self._readings = self._chosen_readings()
        self._with_annotations = self._has_annotations()
        self._with_truth = self._has_truth()
        self._check_files()

    @property
    def num_files(self) -> int:
        """How many sensor files iterating reads."""
        return len(self._readings)

    def __iter__(self) -> Iterator[TimedMessage]:
        path = EgoPath(self._nusc, self._all_readings)
        streams = [iter([self._static_transforms(path.stamps_ns[0])]), path.transforms()]
        if self._content.may_hold(ODOMETRY):
            streams.append(path.odometry())
        streams.append(self._sensors())
        if self._with_annotations:
            streams.append(self._annotations())
        if self._with_truth:
            streams.append(self._truth())
        # Equal stamps keep the order of the streams: a pose comes before what it places.
        return heapq.merge(*streams, key=lambda item: item.stamp_ns)

    def _sensors(self) -> Iterator[TimedMessage]:
        for reading in self._readings:
            yield from sensor_messages(self._nusc, reading)

    def _annotations(self) -> Iterator[TimedMessage]:
        markers = AnnotationMarkers(self._nusc, MAP_FRAME, self._content.annotation_text)
        for sample in self._samples:
            stamp_ns = self._keyframe_ns(sample)
            message = markers.of_keyframe(stamp_ns, sample)
            yield TimedMessage(stamp_ns, ANNOTATIONS_TOPIC, message)

    def _truth(self) -> Iterator[TimedMessage]:
        for sample in self._samples:
            stamp_ns = self._keyframe_ns(sample)
            labels = occ3d_path(self._nusc.dataroot, self._scene, sample["token"])
            message = truth_cloud(stamp_ns, BASE_FRAME, labels)
            yield TimedMessage(stamp_ns, TRUTH_TOPIC, message)

    def _static_transforms(self, stamp_ns: int) -> TimedMessage:
        mounts = [
            transform(
                stamp_ns,
                BASE_FRAME,
                sensor_frame(channel, reading["sensor_modality"]),
                ego_from_sensor(self._nusc, reading),
            )
            for channel, reading in sorted(self._mounted.items())
        ]
        return TimedMessage(stamp_ns, TF_STATIC_TOPIC, tf_message(mounts))

    def _keyframe_ns(self, sample: Record) -> int:
        """The stamp whose ego pose the keyframe's annotations and labels refer to."""
        if REFERENCE_CHANNEL not in sample["data"]:
            return stamp_ns_of(sample)
        return stamp_ns_of(keyframe_reading(self._nusc, sample, REFERENCE_CHANNEL))

    def _one_calibration_each(self) -> dict[str, Record]:
        mounted: dict[str, Record] = {}
        for reading in self._all_readings:
            first = mounted.setdefault(reading["channel"], reading)
            if first["calibrated_sensor_token"] != reading["calibrated_sensor_token"]:
                tokens = [calibration_of(self._nusc, r)["token"] for r in (first, reading)]
                raise DatasetError(
                    f"{reading['channel']} has two calibrations in one scene, '{tokens[0]}' and "
                    f"'{tokens[1]}'; static transforms can hold only one"
                )
        return mounted

    def _chosen_readings(self) -> list[Record]:
        content = self._content
        has = {channel: group_of(reading) for channel, reading in self._mounted.items()}
        for group in GROUP_OF_MODALITY.values():
            if content.demands(group) and group not in has.values():
                raise DatasetError(f"scene '{self._scene}' has no {group}")
        cameras = sorted(channel for channel, group in has.items() if group == CAMERAS)
        for channel in content.cameras or ():
            if channel not in cameras:
                raise DatasetError(
                    f"scene '{self._scene}' has no camera '{channel}'; it has: "
                    + (", ".join(cameras) or "no camera at all")
                )
        chosen = {
            channel
            for channel, group in has.items()
            if content.may_hold(group)
            and (group != CAMERAS or content.cameras is None or channel in content.cameras)
        }
        return [
            reading
            for reading in self._all_readings
            if reading["channel"] in chosen
            and (reading["is_key_frame"] or not content.keyframes_only)
        ]

    def _has_annotations(self) -> bool:
        found = any(sample["anns"] for sample in self._samples)
        if self._content.demands(ANNOTATIONS) and not found:
            raise DatasetError(f"scene '{self._scene}' has no annotations")
        return self._content.may_hold(ANNOTATIONS) and found

    def _has_truth(self) -> bool:
        folder = occ3d_path(self._nusc.dataroot, self._scene, "any").parents[1]
        if self._content.demands(OCCUPANCY) and not folder.is_dir():
            raise DatasetError(f"scene '{self._scene}' has no occupancy: '{folder}' is missing")
        return self._content.may_hold(OCCUPANCY) and folder.is_dir()

    def _check_files(self) -> None:
        """All files are there before the first of them is copied."""
        missing = [r for r in self._readings if not file_of(self._nusc, r).is_file()]
        if not missing:
            return
        counts = Counter(
            (group_of(reading), "keyframe" if reading["is_key_frame"] else "sweep")
            for reading in missing
        )
        parts = [f"{group}: {count} of {kind}s" for (group, kind), count in counts.items()]
        raise DatasetError(
            f"files of scene '{self._scene}' are missing ({'; '.join(parts)}), the first is "
            f"'{file_of(self._nusc, missing[0])}'; fetch them or choose topics without them"
        )
