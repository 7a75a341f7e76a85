"""Launch file, parameter file and RViz file name what the node really has."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
LAUNCH_FILE = ROOT / "launch" / "occupancy.launch.py"
RVIZ_FILE = ROOT / "rviz" / "occupancy.rviz"
ARGUMENTS = {"params_file", "checkpoint", "device", "namespace", "use_sim_time", "rviz"}


def calls(name: str) -> Iterator[tuple[list[ast.expr], dict[str | None, ast.expr]]]:
    """Arguments of every call of a function in the launch file."""
    for node in ast.walk(ast.parse(LAUNCH_FILE.read_text(), LAUNCH_FILE)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
            yield node.args, {keyword.arg: keyword.value for keyword in node.keywords}


def displays() -> dict[str, dict[str, Any]]:
    content = yaml.safe_load(RVIZ_FILE.read_text())["Visualization Manager"]
    return {each["Class"].split("/")[1]: each for each in content["Displays"]}


def test_launch_file_declares_and_describes_its_arguments() -> None:
    described = {
        ast.literal_eval(args[0]): ast.literal_eval(keywords["description"])
        for args, keywords in calls("DeclareLaunchArgument")
    }
    assert set(described) == ARGUMENTS
    assert all(len(text) > 20 for text in described.values())


def test_launch_file_reads_only_arguments_that_it_declares() -> None:
    read = {
        argument.value
        for args, _ in calls("LaunchConfiguration")
        for argument in args
        if isinstance(argument, ast.Constant)
    }
    assert read <= ARGUMENTS


def test_launch_file_starts_the_executable_under_the_nodes_name() -> None:
    started = [
        {key: ast.literal_eval(keywords[key]) for key in ("package", "executable", "name")}
        for _, keywords in calls("Node")
        if "name" in keywords
    ]
    assert started == [
        {"package": "gfocc_ros", "executable": "occupancy_node", "name": "occupancy"}
    ]


def test_launch_file_works_where_launch_is_installed() -> None:
    pytest.importorskip("launch_ros", reason="launch needs a full ROS 2 install")
    source = compile(LAUNCH_FILE.read_text(), str(LAUNCH_FILE), "exec")
    module: dict[str, Any] = {}
    exec(source, module)
    description = module["generate_launch_description"]()
    assert {argument.name for argument in description.get_launch_arguments()} == ARGUMENTS


def test_rviz_shows_what_the_node_publishes_with_a_matching_qos() -> None:
    shown = {kind: displays()[kind]["Topic"] for kind in ("PointCloud2", "Map")}
    assert shown["PointCloud2"]["Value"] == "/occupancy/occupancy"
    assert shown["Map"]["Value"] == "/occupancy/grid"
    for topic in shown.values():
        assert topic["Reliability Policy"] == "Reliable"
        assert topic["Durability Policy"] == "Volatile"


def test_rviz_colours_the_cloud_by_label_over_all_classes() -> None:
    cloud = displays()["PointCloud2"]
    assert (cloud["Color Transformer"], cloud["Channel Name"]) == ("Intensity", "label")
    assert (cloud["Min Intensity"], cloud["Max Intensity"]) == (0, 16)
    assert "TF" in displays()
