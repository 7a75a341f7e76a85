"""Launch the occupancy node, and RViz and a bag if asked; the rest stands in the parameter file."""

# ruff: noqa: I001 (for ruff this folder is a package called launch)
import os
from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

IS_OLD = os.environ.get("ROS_DISTRO") in ("humble", "iron", "jazzy")  # Fast DDS before 3
PROFILE_VARIABLE = f"{'FASTRTPS' if IS_OLD else 'FASTDDS'}_DEFAULT_PROFILES_FILE"
SHARE = Path(get_package_share_directory("gfocc_ros"))
ARGUMENTS = ("namespace", "checkpoint", "device", "rviz", "use_sim_time", "bag", "large_images")
OUTPUTS = ("occupancy", "grid", "markers", "gaussians", "forecast", "classes")


def actions(context: LaunchContext) -> list[Node | IncludeLaunchDescription]:
    """What the arguments ask for."""
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    is_simulated = {"auto": bool(given["bag"])}.get(
        given["use_sim_time"], given["use_sim_time"] == "true"
    )
    started: list[Node | IncludeLaunchDescription] = [occupancy_node(given, is_simulated)]
    if given["rviz"] == "true":
        started.append(rviz(given["namespace"], is_simulated))
    if given["bag"]:
        source = PythonLaunchDescriptionSource(str(SHARE / "launch" / "play_bag.launch.py"))
        passed_on = [(name, given[name]) for name in ("bag", "large_images")]
        started.append(IncludeLaunchDescription(source, launch_arguments=passed_on))
    return started


def occupancy_node(given: dict[str, str], is_simulated: bool) -> Node:
    """The node; checkpoint and device override the parameter file only where they are given."""
    overrides = {name: given[name] for name in ("checkpoint", "device") if given[name]}
    how: dict[str, Any] = {"output": "screen"}
    if given["large_images"] == "true":
        profile = str(SHARE / "config" / "fastdds_large_images.xml")
        how["additional_env"] = {PROFILE_VARIABLE: profile}
    return Node(
        package="gfocc_ros",
        executable="occupancy_node",
        name="occupancy",
        namespace=given["namespace"],
        parameters=[
            LaunchConfiguration("params_file"),
            {"use_sim_time": is_simulated, **overrides},
        ],
        **how,
    )


def rviz(namespace: str, is_simulated: bool) -> Node:
    """RViz with the package's displays; its file names the topics of a node without namespace."""
    return Node(
        package="rviz2",
        executable="rviz2",
        namespace=namespace,
        arguments=["-d", str(SHARE / "rviz" / "occupancy.rviz")],
        parameters=[{"use_sim_time": is_simulated}],
        remappings=[(f"/occupancy/{name}", f"occupancy/{name}") for name in OUTPUTS],
    )


def generate_launch_description() -> LaunchDescription:
    """Called by `ros2 launch gfocc_ros occupancy.launch.py`."""
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "namespace",
                default_value="",
                description="Namespace of the node and of the cameras' topics.",
            ),
            DeclareLaunchArgument(
                "params_file",
                default_value=str(SHARE / "config" / "occupancy.yaml"),
                description="YAML file with the node's parameters.",
            ),
            DeclareLaunchArgument(
                "checkpoint",
                default_value="",
                description="Path of the checkpoint; empty: as in params_file.",
            ),
            DeclareLaunchArgument(
                "device",
                default_value="",
                description="auto, cpu, cuda or cuda:<number>; empty: as in params_file.",
            ),
            DeclareLaunchArgument(
                "rviz",
                default_value="false",
                choices=["true", "false"],
                description="Start RViz with every output of the node and tf.",
            ),
            DeclareLaunchArgument(
                "use_sim_time",
                default_value="auto",
                choices=["auto", "true", "false"],
                description="Take the time from /clock (simulation, bag); auto: with a bag.",
            ),
            DeclareLaunchArgument(
                "bag",
                default_value="",
                description="Path of a bag to play (see play_bag.launch.py); empty: none.",
            ),
            DeclareLaunchArgument(
                "large_images",
                default_value="false",
                choices=["true", "false"],
                description="Start node and bag with config/fastdds_large_images.xml (64 MiB of "
                "shared memory each): large images and clouds pass whole and at once. Camera "
                "drivers need it in their own environment.",
            ),
            OpaqueFunction(function=actions),
        ]
    )
