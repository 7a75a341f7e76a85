"""Launch files, parameter file and RViz file name what the node really has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from gfocc_ros.large_images import OLD_VARIABLE, PROFILE, VARIABLE
from tests.ros.launch_stand_in import LaunchFile

ROOT = Path(__file__).parents[2]
LAUNCH_FOLDER = ROOT / "launch"
RVIZ_FILE = ROOT / "rviz" / "occupancy.rviz"
ARGUMENTS = {
    "occupancy.launch.py": {
        "namespace",
        "params_file",
        "checkpoint",
        "device",
        "rviz",
        "use_sim_time",
        "bag",
        "large_images",
    },
    "play_bag.launch.py": {"bag", "rate", "loop", "large_images"},
}


def displays() -> dict[str, dict[str, Any]]:
    content = yaml.safe_load(RVIZ_FILE.read_text())["Visualization Manager"]
    return {each["Name"]: each for each in content["Displays"]}


@pytest.fixture
def occupancy(monkeypatch: pytest.MonkeyPatch) -> LaunchFile:
    return LaunchFile(LAUNCH_FOLDER / "occupancy.launch.py", monkeypatch)


@pytest.fixture
def play_bag(monkeypatch: pytest.MonkeyPatch) -> LaunchFile:
    return LaunchFile(LAUNCH_FOLDER / "play_bag.launch.py", monkeypatch)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_launch_file_declares_and_describes_its_arguments(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = LaunchFile(LAUNCH_FOLDER / name, monkeypatch).arguments
    assert described.keys() == ARGUMENTS[name]
    assert all(len(each["description"]) > 20 for each in described.values())


@pytest.mark.parametrize("name", ARGUMENTS)
def test_launch_file_works_where_launch_is_installed(name: str) -> None:
    pytest.importorskip("launch_ros", reason="launch needs a full ROS 2 install")
    module: dict[str, Any] = {}
    exec(compile((LAUNCH_FOLDER / name).read_text(), name, "exec"), module)
    description = module["generate_launch_description"]()
    assert {argument.name for argument in description.get_launch_arguments()} == ARGUMENTS[name]


def test_by_default_the_node_starts_alone_with_the_parameter_file(occupancy: LaunchFile) -> None:
    (node,) = occupancy.started()
    assert node.kind == "Node"
    assert (node["package"], node["executable"], node["name"]) == (
        "gfocc_ros",
        "occupancy_node",
        "occupancy",
    )
    file, overrides = node["parameters"]
    assert occupancy.value_of(file).endswith("config/occupancy.yaml")
    assert overrides == {"use_sim_time": False}


def test_arguments_override_the_parameter_file(occupancy: LaunchFile) -> None:
    given = {"namespace": "robot", "params_file": "/my.yaml", "checkpoint": "/my.safetensors"}
    (node,) = occupancy.started(**given, device="cuda:1", use_sim_time="true")
    assert node["namespace"] == "robot"
    file, overrides = node["parameters"]
    assert occupancy.value_of(file) == "/my.yaml"
    assert overrides == {
        "checkpoint": "/my.safetensors",
        "device": "cuda:1",
        "use_sim_time": True,
    }


def test_rviz_starts_on_demand_and_its_topics_follow_the_namespace(occupancy: LaunchFile) -> None:
    _, rviz = occupancy.started(rviz="true", namespace="robot")
    assert (rviz["package"], rviz["namespace"]) == ("rviz2", "robot")
    remapped = dict(rviz["remappings"])
    shown = [each["Topic"]["Value"] for each in displays().values() if "Topic" in each]
    assert shown
    for topic in shown:
        if topic.startswith("/occupancy/"):
            assert remapped[topic] == topic.removeprefix("/"), "resolved in the namespace"


def test_bag_is_played_by_the_other_launch_file_and_sets_the_time(occupancy: LaunchFile) -> None:
    node, bag = occupancy.started(bag="/drive")
    assert node["parameters"][1] == {"use_sim_time": True}
    assert bag.kind == "IncludeLaunchDescription"
    assert dict(bag["launch_arguments"]) == {"bag": "/drive", "large_images": "false"}
    assert bag.arguments[0].endswith("launch/play_bag.launch.py")
    node, _ = occupancy.started(bag="/drive", use_sim_time="false")
    assert node["parameters"][1] == {"use_sim_time": False}


def test_bag_is_played_with_its_clock_by_the_packages_player(
    play_bag: LaunchFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))  # no ros2bag there
    (player,) = play_bag.started(bag=str(tmp_path), rate="0.5", loop="true")
    assert (player.kind, player["package"], player["executable"]) == (
        "Node",
        "gfocc_ros",
        "play_rosbag",
    )
    assert player["arguments"] == [str(tmp_path), "--rate", "0.5", "--clock", "--loop"]


def test_bag_is_played_by_rosbag2_where_that_is_installed(
    play_bag: LaunchFile, tmp_path: Path
) -> None:
    play_bag.module["has_rosbag2"] = lambda: True
    (player,) = play_bag.started(bag=str(tmp_path))
    assert player.kind == "ExecuteProcess"
    assert player["cmd"] == ["ros2", "bag", "play", str(tmp_path), "--rate", "1.0", "--clock"]


@pytest.mark.parametrize("with_rosbag2", [False, True])
@pytest.mark.parametrize(
    ("distro", "variable"), [("jazzy", OLD_VARIABLE), ("kilted", VARIABLE), ("", VARIABLE)]
)
def test_large_images_are_played_with_the_shipped_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_rosbag2: bool, distro: str, variable: str
) -> None:
    monkeypatch.setenv("ROS_DISTRO", distro)
    play_bag = LaunchFile(LAUNCH_FOLDER / "play_bag.launch.py", monkeypatch)
    play_bag.module["has_rosbag2"] = lambda: with_rosbag2
    (plain,) = play_bag.started(bag=str(tmp_path))
    assert "additional_env" not in plain.keywords
    (player,) = play_bag.started(bag=str(tmp_path), large_images="true")
    assert player["additional_env"] == {variable: str(ROOT / PROFILE)}


@pytest.mark.parametrize(("distro", "variable"), [("humble", OLD_VARIABLE), ("", VARIABLE)])
def test_node_and_its_bag_have_the_shipped_profile_on_demand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, distro: str, variable: str
) -> None:
    monkeypatch.setenv("ROS_DISTRO", distro)
    occupancy = LaunchFile(LAUNCH_FOLDER / "occupancy.launch.py", monkeypatch)
    (plain,) = occupancy.started()
    assert "additional_env" not in plain.keywords
    node, bag = occupancy.started(bag=str(tmp_path), large_images="true")
    assert node["additional_env"] == {variable: str(ROOT / PROFILE)}
    assert dict(bag["launch_arguments"])["large_images"] == "true"


def test_missing_bag_is_named(play_bag: LaunchFile) -> None:
    with pytest.raises(FileNotFoundError, match="'/no/such/bag' does not exist"):
        play_bag.started(bag="/no/such/bag")


def test_rviz_asks_for_the_qos_that_the_outputs_offer() -> None:
    topics = [each["Topic"] for each in displays().values() if "Topic" in each]
    assert {"/occupancy/occupancy", "/occupancy/grid"} <= {topic["Value"] for topic in topics}
    for topic in topics:
        assert topic["Reliability Policy"] == "Reliable"
        assert topic["Durability Policy"] == "Volatile"


def test_rviz_shows_tf_and_names_each_display_once() -> None:
    content = yaml.safe_load(RVIZ_FILE.read_text())["Visualization Manager"]
    assert len(displays()) == len(content["Displays"])
    assert any(each["Class"].endswith("/TF") for each in displays().values())
