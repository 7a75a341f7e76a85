"""One row of the parameter table, and whether a value fits it; knows no ROS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import Field, field
from typing import Any, cast

_TYPE_NAMES = {str: "string", float: "double", int: "integer", bool: "bool"}


class ParameterError(ValueError):
    """A parameter has the wrong type or a value that makes no sense; names both."""


def parameter(
    default: Any,
    description: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    at_run_time: bool = False,
) -> Any:
    """A dataclass field with its row of the table as metadata.

    Args:
        low, high: the range, inclusive; of a list, that of every entry.
        choices: the only strings allowed.
        at_run_time: whether it may change while the node runs.
    """
    if choices:
        description = f"{description} One of: {', '.join(choices)}."
    row = {
        "description": description,
        "limits": None if low is None or high is None else (low, high),
        "choices": choices,
        "at_run_time": at_run_time,
    }
    return field(default=default, metadata=row)


def check_value(row: Field[Any], value: object) -> None:
    """Raises ParameterError unless the value has the type, range and choice of its row."""
    default: object = row.default
    fits = type(value) is type(default)
    if fits and isinstance(default, tuple):
        entries = cast("tuple[object, ...]", value)
        for entry in entries:
            if not _fits(row, entry, type(default[0])):
                raise error(row.name, expectation(row), entry)
        if not entries:
            raise error(row.name, "a list of at least one entry", [])
    elif not (fits and _fits(row, value, type(default))):
        raise error(row.name, expectation(row), value)


def check_text(name: str, value: str, fits: Callable[[str], object], expected: str) -> None:
    """Raises ParameterError unless `fits`, say a pattern's fullmatch, accepts the text."""
    if not fits(value):
        raise error(name, expected, value)


def expectation(row: Field[Any]) -> str:
    """What a value must be, for error messages."""
    default: object = row.default
    if row.metadata["choices"]:
        return f"one of {', '.join(row.metadata['choices'])}"
    if isinstance(default, tuple):
        kind = f"{_TYPE_NAMES[type(default[0])]} array"
    else:
        kind = _TYPE_NAMES[type(default)]
    if row.metadata["limits"] is None:
        return f"of type {kind}"
    low, high = row.metadata["limits"]
    return f"of type {kind} between {low} and {high}"


def error(name: str, expected: str, found: object) -> ParameterError:
    """The error for a parameter of this name."""
    return ParameterError(f"parameter '{name}' must be {expected}, got {found!r}")


def _fits(row: Field[Any], value: object, kind: type) -> bool:
    if type(value) is not kind:
        return False
    if row.metadata["choices"]:
        return value in row.metadata["choices"]
    if row.metadata["limits"] is None:
        return True
    low, high = row.metadata["limits"]
    return bool(low <= cast(float, value) <= high)  # also refuses NaN
