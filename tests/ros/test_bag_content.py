"""What of a scene a bag holds: groups of topics, cameras, keyframes only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gfocc_core.data.scenes import DatasetError, open_nuscenes
from gfocc_ros.bags.command import BagError
from gfocc_ros.bags.content import BagContent
from gfocc_ros.bags.conversion import convert_scene
from tests.nuscenes_fixture import CAMERAS, RADARS, SCENES, write_nuscenes
from tests.ros.bag_contents import Logged, global_from_base, read_bag
from tests.ros.bag_scene import SCENE, FullScene, full_scene


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> FullScene:
    return full_scene(tmp_path_factory.mktemp("scene"))


@pytest.fixture
def bag(scene: FullScene) -> list[Logged]:
    return scene.bag


@pytest.fixture
def converted(scene: FullScene, tmp_path: Path) -> Callable[[BagContent], list[Logged]]:
    def convert(content: BagContent) -> list[Logged]:
        convert_scene(scene.nusc, SCENE, tmp_path / "bag", content=content)
        return read_bag(tmp_path / "bag")

    return convert


def test_keyframes_only_leave_out_sweeps_but_no_pose(
    converted: Callable[[BagContent], list[Logged]], bag: list[Logged], scene: FullScene
) -> None:
    keyframes = converted(BagContent(keyframes_only=True))
    everything, fewer = (Counter(item.topic for item in source) for source in (bag, keyframes))
    assert fewer.keys() == everything.keys()
    for topic, count in fewer.items():
        if topic in ("/tf", "/odom", "/tf_static"):
            assert count == everything[topic]
        else:
            assert count == scene.dataset.keyframes
    assert everything["/cam_back/camera_info"] == scene.dataset.images_per_camera
    assert everything["/radar_front/points"] == scene.dataset.images_per_camera


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (BagContent(("lidar",)), {"/lidar_top/points"}),
        (BagContent(("radar",)), {f"/{channel.lower()}/points" for channel in RADARS}),
        (
            BagContent(("cameras", "odometry"), cameras=("CAM_BACK",)),
            {"/cam_back/camera_info", "/cam_back/image_rect/compressed", "/odom"},
        ),
        (BagContent(("occupancy",)), {"/ground_truth/occupancy"}),
    ],
)
def test_only_what_is_chosen_is_written_and_all_of_tf(
    converted: Callable[[BagContent], list[Logged]],
    bag: list[Logged],
    content: BagContent,
    expected: set[str],
) -> None:
    chosen = converted(content)
    assert {item.topic for item in chosen} == expected | {"/tf", "/tf_static"}
    poses, all_poses = global_from_base(chosen), global_from_base(bag)
    assert poses.keys() == all_poses.keys()
    (static,) = (item.message for item in chosen if item.topic == "/tf_static")
    assert len(static.transforms) == len(CAMERAS) + len(RADARS) + 1


def test_chosen_cameras_need_no_file_of_the_others(tmp_path: Path) -> None:
    """People fetch parts of the dataset: files that nobody asked for may be missing."""
    dataset = write_nuscenes(tmp_path / "nuscenes", SCENES[:1], radars=True)
    for path in dataset.root.glob("s*/*/*"):
        if path.parent.name not in ("CAM_FRONT", "CAM_BACK"):
            path.unlink()
    nusc = open_nuscenes(dataset.root, dataset.version)
    chosen = BagContent(("cameras",), cameras=("CAM_FRONT", "CAM_BACK"))
    counts = convert_scene(nusc, SCENE, tmp_path / "bag", content=chosen)
    assert counts["/cam_front/camera_info"] == dataset.images_per_camera
    with pytest.raises(DatasetError, match=r"radar: 6 of keyframes.*radar: 4 of sweeps"):
        convert_scene(nusc, SCENE, tmp_path / "other", content=BagContent(("lidar", "radar")))
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"topics": ("sonar",)}, "topics must be of .*, got 'sonar'"),
        ({"topics": ()}, "topics must name at least one"),
        ({"cameras": ()}, "cameras must name at least one"),
    ],
)
def test_impossible_choice_is_named(values: dict[str, Any], said: str) -> None:
    with pytest.raises(BagError, match=said):
        BagContent(**values)
