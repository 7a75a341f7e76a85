"""The node's parameters: one typed, described table, declared on a node and validated.

config/occupancy.yaml documents the same parameters with the same defaults.
"""

from __future__ import annotations

import re
from dataclasses import Field, dataclass, field, fields
from typing import Any, cast

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from gfocc_core.config import PRESETS


class ParameterError(ValueError):
    """A parameter has the wrong type or a value that makes no sense; names both."""


NUSCENES_CAMERAS = (
    "cam_front_left",
    "cam_front",
    "cam_front_right",
    "cam_back_left",
    "cam_back",
    "cam_back_right",
)
_ROS_TYPE_NAMES = {str: "string", float: "double", int: "integer", tuple: "string array"}
_CAMERA_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(/[A-Za-z][A-Za-z0-9_]*)*")
_FRAME_NAME = re.compile(r"[^/\s]\S*")
_DEVICE_NAME = re.compile(r"auto|cpu|cuda(:\d+)?")


def _parameter(
    default: Any,
    description: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    at_run_time: bool = False,
) -> Any:
    """A field of NodeParameters with its row of the table as metadata."""
    if choices:
        description = f"{description} One of: {', '.join(choices)}."
    limits = (low, high) if low is not None and high is not None else None
    row = {
        "description": description,
        "limits": limits,
        "choices": choices,
        "at_run_time": at_run_time,
    }
    return field(default=default, metadata=row)


@dataclass(frozen=True)
class NodeParameters:
    """Validated values; raises ParameterError on construction. Durations are in seconds."""

    cameras: tuple[str, ...] = _parameter(
        NUSCENES_CAMERAS,
        "Names of the cameras, in the order the network learned them. Each is the prefix of the "
        "topics <camera>/image_rect (or <camera>/image_rect/compressed) and <camera>/camera_info.",
    )
    image_transport: str = _parameter(
        "compressed", "How images travel.", choices=("raw", "compressed")
    )
    reference_camera: str = _parameter(
        "cam_front",
        "Camera whose images' stamps are the frames' stamps; with cameras of different rates "
        "choose the slowest. Empty: the first of `cameras`.",
    )
    base_frame: str = _parameter(
        "base_link", "tf frame of the vehicle (x forward, y left, z up) that the outputs are in."
    )
    fixed_frame: str = _parameter(
        "odom", "tf frame that does not move and never jumps (REP-105: odom, not map)."
    )
    checkpoint: str = _parameter(
        "",
        "Path of a safetensors checkpoint. Empty: random weights of `preset`, output is noise.",
    )
    preset: str = _parameter(
        "tiny", "Network that is built when there is no checkpoint.", choices=tuple(sorted(PRESETS))
    )
    device: str = _parameter(
        "auto", "Where the network runs: cpu, cuda, cuda:<number>, or auto (cuda if present)."
    )
    density_threshold: float = _parameter(
        -1.0,
        "A voxel is occupied from this density on; negative: the checkpoint's own threshold.",
        low=-1.0,
        high=1.0,
        at_run_time=True,
    )
    slop_s: float = _parameter(
        0.06,
        "Largest distance between an image's stamp and the reference image's (the cameras of "
        "nuScenes fire over 45 ms).",
        low=0.0,
        high=10.0,
    )
    deadline_s: float = _parameter(
        0.15,
        "Wall time after the reference image's arrival at which a frame runs without the "
        "cameras that are silent.",
        low=0.0,
        high=10.0,
    )
    min_cameras: int = _parameter(
        1, "A frame with fewer usable cameras than this is dropped.", low=1, high=64
    )
    queue_size: int = _parameter(
        10,
        "Images per camera that wait for their frame, and depth of the subscriptions.",
        low=1,
        high=100,
    )
    time_jump_s: float = _parameter(
        0.5,
        "A stamp this much older than its predecessor means that time was set back (simulation "
        "restarted, bag played again): memory and tf are cleared.",
        low=0.01,
        high=3600.0,
    )
    reference_timeout_s: float = _parameter(
        1.0,
        "When the reference camera is silent for this long, the first camera that is not "
        "stands in for it.",
        low=0.01,
        high=3600.0,
    )
    tf_timeout_s: float = _parameter(
        0.2, "Longest wait for one transform of a frame.", low=0.0, high=10.0
    )
    report_period_s: float = _parameter(
        10.0,
        "Period of the log line with frames, latency and drops; warnings come at most once a "
        "second.",
        low=1.0,
        high=3600.0,
    )

    def __post_init__(self) -> None:
        for each in fields(self):
            _check_value(each, getattr(self, each.name))
        _check_cameras(self.cameras)
        if self.reference_camera and self.reference_camera not in self.cameras:
            known = ", ".join(self.cameras)
            raise _error("reference_camera", f"one of cameras ({known})", self.reference_camera)
        if self.min_cameras > len(self.cameras):
            expected = f"at most the number of cameras ({len(self.cameras)})"
            raise _error("min_cameras", expected, self.min_cameras)
        for name in ("base_frame", "fixed_frame"):
            if not _FRAME_NAME.fullmatch(getattr(self, name)):
                raise _error(name, "a tf frame name", getattr(self, name))
        if not _DEVICE_NAME.fullmatch(self.device):
            raise _error("device", "auto, cpu, cuda or cuda:<number>", self.device)


def declare_parameters(node: Node) -> NodeParameters:
    """Declare every parameter on a node and return the validated values it was given.

    Raises:
        ParameterError: a value of the wrong type, out of range or senseless.
    """
    values: dict[str, Any] = {}
    for each in fields(NodeParameters):
        try:
            declared = node.declare_parameter(each.name, _ros_value(each.default), descriptor(each))
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            expected = _expectation(each)
            raise ParameterError(f"parameter '{each.name}' must be {expected}: {error}") from error
        values[each.name] = _core_value(declared.value)
    return NodeParameters(**values)


def with_changes(parameters: NodeParameters, changes: list[Parameter[Any]]) -> NodeParameters:
    """The parameters after changes at run time; foreign ones are ignored.

    Raises:
        ParameterError: a value is senseless.
    """
    known = {each.name: getattr(parameters, each.name) for each in fields(parameters)}
    known |= {c.name: _core_value(c.value) for c in changes if c.name in known}
    return NodeParameters(**known)


def descriptor(each: Field[Any]) -> ParameterDescriptor:
    """The ROS descriptor of one field of NodeParameters."""
    message = ParameterDescriptor(
        description=each.metadata["description"], read_only=not each.metadata["at_run_time"]
    )
    if each.metadata["limits"] is not None:
        low, high = each.metadata["limits"]
        if isinstance(each.default, float):
            message.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
        else:
            message.integer_range = [IntegerRange(from_value=low, to_value=high, step=1)]
    return message


def _expectation(each: Field[Any]) -> str:
    """What a value must be, for error messages."""
    kind = _ROS_TYPE_NAMES[type(each.default)]
    if each.metadata["choices"]:
        return f"one of {', '.join(each.metadata['choices'])}"
    if each.metadata["limits"] is not None:
        low, high = each.metadata["limits"]
        return f"of type {kind} between {low} and {high}"
    return f"of type {kind}"


def _check_value(each: Field[Any], value: object) -> None:
    fits = type(value) is type(each.default)
    if fits and each.metadata["limits"] is not None:
        low, high = each.metadata["limits"]
        fits = low <= cast(float, value) <= high  # also refuses NaN
    if fits and each.metadata["choices"]:
        fits = value in each.metadata["choices"]
    if not fits:
        raise _error(each.name, _expectation(each), value)


def _check_cameras(cameras: tuple[str, ...]) -> None:
    if not cameras:
        raise _error("cameras", "a list of at least one name", list(cameras))
    for camera in cameras:
        if not isinstance(camera, str) or not _CAMERA_NAME.fullmatch(camera):
            raise _error("cameras", "a list of relative topic prefixes", camera)
    if len(set(cameras)) != len(cameras):
        raise _error("cameras", "a list of different names", list(cameras))


def _error(name: str, expected: str, found: object) -> ParameterError:
    return ParameterError(f"parameter '{name}' must be {expected}, got {found!r}")


def _ros_value(value: object) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _core_value(value: object) -> object:
    """rclpy gives string lists as lists and an empty list as None."""
    if value is None:
        return ()
    return tuple(value) if isinstance(value, list) else value
