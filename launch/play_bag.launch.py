"""Play a bag with its clock: by rosbag2 where that is installed, else by gfocc_ros's own player."""

# ruff: noqa: I001 (for ruff this folder is a package called launch)
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node


def player(context: LaunchContext) -> list[ExecuteProcess]:
    """The process that plays; raises FileNotFoundError if there is no such bag."""
    given = {name: LaunchConfiguration(name).perform(context) for name in ("bag", "rate", "loop")}
    bag = Path(given["bag"]).expanduser()
    if not bag.exists():
        raise FileNotFoundError(f"launch argument 'bag': '{bag}' does not exist")
    words = [str(bag), "--rate", given["rate"], "--clock"]
    if given["loop"] == "true":
        words.append("--loop")
    if has_rosbag2():
        return [ExecuteProcess(cmd=["ros2", "bag", "play", *words], output="screen")]
    return [Node(package="gfocc_ros", executable="play_rosbag", arguments=words, output="screen")]


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
            OpaqueFunction(function=player),
        ]
    )
