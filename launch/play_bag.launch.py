"""Play a bag with its clock: by rosbag2 where that is installed, else by gfocc_ros's own player."""

# ruff: noqa: I001 (for ruff this folder is a package called launch)
import os
from pathlib import Path
from typing import Any

from ament_index_python.packages import (
    PackageNotFoundError,
    get_package_prefix,
    get_package_share_directory,
)
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

SHARE = Path(get_package_share_directory("gfocc_ros"))
ARGUMENTS = ("bag", "rate", "loop", "large_images")
IS_OLD = os.environ.get("ROS_DISTRO") in ("humble", "iron", "jazzy")  # Fast DDS before 3
PROFILE_VARIABLE = f"{'FASTRTPS' if IS_OLD else 'FASTDDS'}_DEFAULT_PROFILES_FILE"


def player(context: LaunchContext) -> list[ExecuteProcess]:
    """The process that plays; raises FileNotFoundError if there is no such bag."""
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    bag = Path(given["bag"]).expanduser()
    if not bag.exists():
        raise FileNotFoundError(f"launch argument 'bag': '{bag}' does not exist")
    words = [str(bag), "--rate", given["rate"], "--clock"]
    if given["loop"] == "true":
        words.append("--loop")
    how: dict[str, Any] = {"output": "screen"}
    if given["large_images"] == "true":
        profile = str(SHARE / "config" / "fastdds_large_images.xml")
        how["additional_env"] = {PROFILE_VARIABLE: profile}
    if has_rosbag2():
        return [ExecuteProcess(cmd=["ros2", "bag", "play", *words], **how)]
    return [Node(package="gfocc_ros", executable="play_rosbag", arguments=words, **how)]


def has_rosbag2() -> bool:
    """Whether `ros2 bag play` exists."""
    try:
        get_package_prefix("ros2bag")
    except PackageNotFoundError:
        return False
    return True


def generate_launch_description() -> LaunchDescription:
    """Called by `ros2 launch gfocc_ros play_bag.launch.py bag:=<path>`."""
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "bag", description="Path of the bag: a folder, or a .mcap or .db3 file."
            ),
            DeclareLaunchArgument(
                "rate", default_value="1.0", description="Speed, in times real time."
            ),
            DeclareLaunchArgument(
                "loop",
                default_value="false",
                choices=["true", "false"],
                description="Start over at the end, until stopped.",
            ),
            DeclareLaunchArgument(
                "large_images",
                default_value="false",
                choices=["true", "false"],
                description="Send by config/fastdds_large_images.xml (64 MiB of shared memory): "
                "no image is lost. Our own player does so anyway where there is room.",
            ),
            OpaqueFunction(function=player),
        ]
    )
