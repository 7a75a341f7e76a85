"""The parameter table on a ROS node: declared with descriptors, read back, changed."""

from __future__ import annotations

from dataclasses import Field, fields
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from gfocc_ros.parameters.parameter_row import ParameterError, expectation
from gfocc_ros.parameters.parameters import NodeParameters


def declare_parameters(node: Node) -> NodeParameters:
    """Declare every parameter on a node and return the validated values it was given.

    Raises:
        ParameterError: a value of the wrong type, out of range or senseless.
    """
    values: dict[str, Any] = {}
    for row in fields(NodeParameters):
        try:
            declared = node.declare_parameter(row.name, _ros_value(row.default), descriptor(row))
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            expected = expectation(row)
            raise ParameterError(f"parameter '{row.name}' must be {expected}: {error}") from error
        values[row.name] = _core_value(declared.value)
    return NodeParameters(**values)


def with_changes(parameters: NodeParameters, changes: list[Parameter[Any]]) -> NodeParameters:
    """The parameters after changes at run time; foreign ones are ignored.

    Raises:
        ParameterError: a value is senseless.
    """
    known = {row.name: getattr(parameters, row.name) for row in fields(parameters)}
    known |= {c.name: _core_value(c.value) for c in changes if c.name in known}
    return NodeParameters(**known)


def descriptor(row: Field[Any]) -> ParameterDescriptor:
    """The ROS descriptor of one field of NodeParameters."""
    message = ParameterDescriptor(
        description=row.metadata["description"], read_only=not row.metadata["at_run_time"]
    )
    if row.metadata["limits"] is not None:
        low, high = row.metadata["limits"]
        if isinstance(row.default, float):
            message.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
        elif isinstance(row.default, int):
            message.integer_range = [IntegerRange(from_value=low, to_value=high, step=1)]
        else:  # ROS has no ranges of arrays
            message.additional_constraints = f"every entry is between {low} and {high}"
    return message


def _ros_value(value: object) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _core_value(value: object) -> object:
    """rclpy gives lists of strings as lists, of doubles as arrays and an empty list as None."""
    if value is None:
        return ()
    return value if isinstance(value, str | bool | int | float | bytes) else tuple(value)  # type: ignore[arg-type]
