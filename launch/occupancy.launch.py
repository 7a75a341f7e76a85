"""Launch the occupancy node, and RViz if asked; everything else stands in the parameter file."""

# ruff: noqa: I001 (for ruff this folder is a package called launch)
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

SHARE = Path(get_package_share_directory("gfocc_ros"))


def occupancy_node(context: LaunchContext) -> list[Node]:
    """The node; checkpoint and device override the parameter file only where they are given."""
    given = {name: LaunchConfiguration(name).perform(context) for name in ("checkpoint", "device")}
    overrides = {name: value for name, value in given.items() if value}
    use_sim_time = LaunchConfiguration("use_sim_time").perform(context) == "true"
    return [
        Node(
            package="gfocc_ros",
            executable="occupancy_node",
            name="occupancy",
            namespace=LaunchConfiguration("namespace"),
            parameters=[
                LaunchConfiguration("params_file"),
                {"use_sim_time": use_sim_time, **overrides},
            ],
            output="screen",
        )
    ]


def generate_launch_description() -> LaunchDescription:
    """Called by `ros2 launch gfocc_ros occupancy.launch.py`."""
    return LaunchDescription(
        [
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
                "namespace",
                default_value="",
                description="Namespace of the node and of the cameras' topics.",
            ),
            DeclareLaunchArgument(
                "use_sim_time",
                default_value="false",
                choices=["true", "false"],
                description="Take the time from /clock (simulation, bag).",
            ),
            DeclareLaunchArgument(
                "rviz",
                default_value="false",
                choices=["true", "false"],
                description="Start RViz with the cloud, the grid and tf.",
            ),
            OpaqueFunction(function=occupancy_node),
            Node(
                package="rviz2",
                executable="rviz2",
                namespace=LaunchConfiguration("namespace"),
                arguments=["-d", str(SHARE / "rviz" / "occupancy.rviz")],
                parameters=[{"use_sim_time": LaunchConfiguration("use_sim_time")}],
                # the file names the topics of a node without namespace
                remappings=[
                    ("/occupancy/occupancy", "occupancy/occupancy"),
                    ("/occupancy/grid", "occupancy/grid"),
                ],
                condition=IfCondition(LaunchConfiguration("rviz")),
            ),
        ]
    )
