"""Runs a launch file where `launch` is not installed, and tells what it would start.

Stands for the few names that our launch files use; the real package reads the same files.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ament_index_python import packages


@dataclass
class Action:
    """One constructed action of `launch` or `launch_ros`, with the arguments it was given."""

    kind: str
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.keywords[name]


class LaunchConfiguration:
    """An argument's value, known once the file is launched."""

    def __init__(self, name: str) -> None:
        self._name = name

    def perform(self, context: dict[str, str]) -> str:
        return context[self._name]


class LaunchFile:
    """A launch file of ours, loaded; `module` holds its globals."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        _install(monkeypatch)
        share = str(path.parents[1])
        monkeypatch.setattr(packages, "get_package_share_directory", lambda name: share)
        self.module: dict[str, Any] = {}
        exec(compile(path.read_text(), str(path), "exec"), self.module)
        self._actions: list[Action] = self.module["generate_launch_description"]().arguments[0]
        self._context: dict[str, str] = {}

    @property
    def arguments(self) -> dict[str, dict[str, Any]]:
        """What is declared, by name."""
        return {
            action.arguments[0]: action.keywords
            for action in self._actions
            if action.kind == "DeclareLaunchArgument"
        }

    def started(self, **given: str) -> list[Action]:
        """The actions for these arguments, defaults for the others."""
        assert given.keys() <= self.arguments.keys()
        self._context = {
            name: given.get(name, keywords.get("default_value"))
            for name, keywords in self.arguments.items()
        }
        for name, keywords in self.arguments.items():
            assert self._context[name] in keywords.get("choices", [self._context[name]])
        functions = [a["function"] for a in self._actions if a.kind == "OpaqueFunction"]
        return [action for function in functions for action in function(self._context)]

    def value_of(self, configuration: LaunchConfiguration) -> str:
        """As in the last `started`."""
        return configuration.perform(self._context)


def _install(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {
        "launch": ("LaunchContext", "LaunchDescription"),
        "launch.actions": (
            "DeclareLaunchArgument",
            "ExecuteProcess",
            "IncludeLaunchDescription",
            "OpaqueFunction",
        ),
        "launch.launch_description_sources": (),
        "launch.substitutions": (),
        "launch_ros": (),
        "launch_ros.actions": ("Node",),
    }
    for module_name, kinds in names.items():
        module = ModuleType(module_name)
        for kind in kinds:
            setattr(module, kind, _constructor(kind))
        monkeypatch.setitem(sys.modules, module_name, module)
    sources, substitutions = "launch.launch_description_sources", "launch.substitutions"
    monkeypatch.setattr(sys.modules[sources], "PythonLaunchDescriptionSource", str, raising=False)
    monkeypatch.setattr(
        sys.modules[substitutions], "LaunchConfiguration", LaunchConfiguration, raising=False
    )


def _constructor(kind: str) -> type:
    def new(cls: type, *arguments: Any, **keywords: Any) -> Action:
        return Action(kind, arguments, keywords)

    return type(kind, (), {"__new__": new})
