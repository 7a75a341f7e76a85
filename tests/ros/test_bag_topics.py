"""What the converter writes besides images and tf: clouds, boxes, odometry, ground truth."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nuscenes.nuscenes import NuScenes
from nuscenes.utils.data_classes import LidarPointCloud, RadarPointCloud
from nuscenes.utils.geometry_utils import points_in_box
from pyquaternion import Quaternion

from gfocc_core.data.frames import iter_frames
from gfocc_core.data.scenes import DatasetError, keyframe_tokens, open_nuscenes
from gfocc_core.grid import OCC3D_GRID
from gfocc_core.taxonomy import CLASS_NAMES, COLORS, FREE_ID
from gfocc_ros.bags.annotations import category_color
from gfocc_ros.bags.command import BagError
from gfocc_ros.bags.content import BagContent
from gfocc_ros.bags.conversion import convert_scene
from tests.nuscenes_fixture import (
    BOXES,
    CAMERAS,
    RADARS,
    SCENES,
    NuscenesFixture,
    write_nuscenes,
)
from tests.ros.bag_contents import (
    Logged,
    base_from_sensor,
    global_from_base,
    matrix_from,
    on_topic,
    points_of,
    read_bag,
    xyz_of,
)

SCENE = SCENES[0]
ADD, DELETE, DELETE_ALL = 0, 2, 3
CUBE, TEXT = 1, 9
GROUND, CAR = CLASS_NAMES.index("driveable_surface"), CLASS_NAMES.index("car")


def write_truth(dataset: NuscenesFixture, scene: str) -> None:
    """Labels of every keyframe: a patch of ground, and a car whose place tells the keyframe."""
    samples = json.loads(dataset.table("sample").read_text())
    tokens = [sample["token"] for sample in samples if sample["scene_token"] == f"{scene}-token"]
    for index, token in enumerate(tokens):
        semantics = np.full(OCC3D_GRID.shape, FREE_ID, np.uint8)
        semantics[90:110, 90:110, 2] = GROUND
        semantics[120 + index, 100, 3] = CAR
        seen = np.zeros(OCC3D_GRID.shape, np.uint8)
        seen[100:] = 1
        folder = dataset.root / "gts" / scene / token
        folder.mkdir(parents=True)
        arrays = {"semantics": semantics, "mask_lidar": seen, "mask_camera": 1 - seen}
        np.savez_compressed(folder / "labels.npz", **arrays)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> NuscenesFixture:
    root = tmp_path_factory.mktemp("nuscenes")
    dataset = write_nuscenes(root, SCENES[:1], radars=True, annotations=True)
    write_truth(dataset, SCENE)
    return dataset


@pytest.fixture(scope="module")
def nusc(dataset: NuscenesFixture) -> NuScenes:
    return open_nuscenes(dataset.root, dataset.version)


@pytest.fixture(scope="module")
def bag(nusc: NuScenes, tmp_path_factory: pytest.TempPathFactory) -> list[Logged]:
    """All that the dataset has."""
    path = tmp_path_factory.mktemp("bag") / "scene"
    convert_scene(nusc, SCENE, path)
    return read_bag(path)


@pytest.fixture
def converted(nusc: NuScenes, tmp_path: Path) -> Callable[[BagContent], list[Logged]]:
    def convert(content: BagContent) -> list[Logged]:
        convert_scene(nusc, SCENE, tmp_path / "bag", content=content)
        return read_bag(tmp_path / "bag")

    return convert


def readings_of(nusc: NuScenes, channel: str) -> dict[int, dict[str, Any]]:
    return {r["timestamp"] * 1000: r for r in nusc.sample_data if r["channel"] == channel}


def keyframe_stamps(nusc: NuScenes) -> list[int]:
    stamps = [nusc.get("sample", t)["timestamp"] * 1000 for t in keyframe_tokens(nusc, SCENE)]
    return sorted(stamps)


def test_lidar_points_are_those_of_the_file(bag: list[Logged], nusc: NuScenes) -> None:
    clouds = on_topic(bag, "/lidar_top/points")
    readings = readings_of(nusc, "LIDAR_TOP")
    assert clouds.keys() == readings.keys()
    for stamp_ns, cloud in clouds.items():
        path = Path(nusc.dataroot, readings[stamp_ns]["filename"])
        expected = LidarPointCloud.from_file(str(path)).points
        points = points_of(cloud)
        assert points.dtype.names == ("x", "y", "z", "intensity", "ring")
        for row, name in enumerate(("x", "y", "z", "intensity")):
            np.testing.assert_array_equal(points[name], expected[row])
        assert points["ring"].dtype == np.uint16
        np.testing.assert_array_equal(points["ring"], np.fromfile(path, "<f4")[4::5])
        assert cloud.header.frame_id == "lidar_top"


def test_radar_points_have_every_field_and_no_filter(bag: list[Logged], nusc: NuScenes) -> None:
    for channel in RADARS:
        clouds = on_topic(bag, f"/{channel.lower()}/points")
        readings = readings_of(nusc, channel)
        assert clouds.keys() == readings.keys()
        for stamp_ns, cloud in clouds.items():
            path = Path(nusc.dataroot, readings[stamp_ns]["filename"])
            everything = list(range(256))
            expected = RadarPointCloud.from_file(str(path), everything, everything, everything)
            points = points_of(cloud)
            assert points.dtype.names is not None
            assert len(points.dtype.names) == RadarPointCloud.nbr_dims()
            for row, name in enumerate(points.dtype.names):
                np.testing.assert_array_equal(points[name], expected.points[row])
            assert cloud.header.frame_id == channel.lower()
        base_from_sensor(bag, channel.lower())


def test_every_box_stands_where_it_was_annotated(bag: list[Logged], nusc: NuScenes) -> None:
    arrays = on_topic(bag, "/annotations")
    tokens = keyframe_tokens(nusc, SCENE)
    assert sorted(arrays) == keyframe_stamps(nusc)
    for stamp_ns, token in zip(sorted(arrays), tokens, strict=True):
        boxes = {
            (marker.ns, tuple(np.round(matrix_from(m.position, m.orientation), 6).ravel()))
            for marker in arrays[stamp_ns].markers
            if marker.action == ADD
            for m in [marker.pose]
        }
        expected = set()
        for box in (nusc.get_box(annotation) for annotation in nusc.get("sample", token)["anns"]):
            matrix = box.orientation.transformation_matrix
            matrix[:3, 3] = box.center
            expected.add((box.name, tuple(np.round(matrix, 6).ravel())))
        assert boxes == expected
        for marker in arrays[stamp_ns].markers:
            assert marker.header.frame_id == "map"


def test_boxes_have_their_size_and_class_color(bag: list[Logged]) -> None:
    (first, *_) = on_topic(bag, "/annotations").values()
    shown = {marker.ns: marker for marker in first.markers if marker.action == ADD}
    assert len(shown) == len(BOXES)
    for category, _, (width, length, height) in BOXES.values():
        marker = shown[category]
        assert marker.type == CUBE
        scale = (marker.scale.x, marker.scale.y, marker.scale.z)
        np.testing.assert_allclose(scale, (length, width, height))
        color = (marker.color.r, marker.color.g, marker.color.b)
        np.testing.assert_allclose(color, np.array(category_color(category)) / 255, rtol=1e-6)
        assert 0 < marker.color.a < 1
    assert category_color("vehicle.bus.rigid") == COLORS[CLASS_NAMES.index("bus")]
    assert category_color("human.pedestrian.stroller") == COLORS[CLASS_NAMES.index("others")]


def test_objects_keep_their_id_and_are_deleted_when_they_vanish(bag: list[Logged]) -> None:
    arrays = [message.markers for _, message in sorted(on_topic(bag, "/annotations").items())]
    assert [marker.action for marker in arrays[0]].count(DELETE_ALL) == 1
    assert arrays[0][0].action == DELETE_ALL
    shown: set[tuple[str, int]] = set()
    for markers in arrays:
        for marker in markers:
            if marker.action == DELETE:
                shown.remove((marker.ns, marker.id))
            elif marker.action == ADD:
                shown.add((marker.ns, marker.id))
        assert shown == {(m.ns, m.id) for m in markers if m.action == ADD}
    deleted = [[m.ns for m in markers if m.action == DELETE] for markers in arrays]
    assert deleted == [[], [BOXES["gone"][0]], []]


def test_text_is_written_on_request_and_vanishes_with_its_box(
    converted: Callable[[BagContent], list[Logged]], bag: list[Logged]
) -> None:
    without = on_topic(bag, "/annotations").values()
    assert not any(marker.type == TEXT for message in without for marker in message.markers)
    bag = converted(BagContent(("annotations",), annotation_text=True))
    first, second, _ = (message.markers for message in on_topic(bag, "/annotations").values())
    texts = {marker.ns: marker for marker in first if marker.type == TEXT}
    cubes = {marker.ns: marker for marker in first if marker.type == CUBE and marker.ns}
    assert texts["vehicle.car/text"].text.startswith("car ")
    for ns, cube in cubes.items():
        assert texts[f"{ns}/text"].pose.position.z > cube.pose.position.z + cube.scale.z / 2
    gone = BOXES["gone"][0]
    assert {marker.ns for marker in second if marker.action == DELETE} == {gone, f"{gone}/text"}


def test_odometry_has_the_pose_of_tf_and_the_velocity_of_the_vehicle(
    bag: list[Logged], nusc: NuScenes
) -> None:
    """The fixture's path is known in closed form: see its `_pose_at`."""
    transforms = {item.stamp_ns: item.message for item in bag if item.topic == "/tf"}
    odometry = on_topic(bag, "/odom")
    assert odometry.keys() == transforms.keys()
    for stamp_ns, message in odometry.items():
        assert (message.header.frame_id, message.child_frame_id) == ("odom", "base_link")
        to_base = transforms[stamp_ns].transforms[1].transform
        pose = message.pose.pose
        expected = matrix_from(to_base.translation, to_base.rotation)
        np.testing.assert_allclose(
            matrix_from(pose.position, pose.orientation), expected, atol=1e-9
        )
        seconds = stamp_ns / 1e9 % 100
        pitch = Quaternion(axis=[0, 1, 0], radians=0.02 * np.cos(seconds))
        yaw = Quaternion(axis=[0, 0, 1], radians=2.8 + 0.15 * seconds)
        velocity = (yaw * pitch).inverse.rotate(np.array([8, 1.2 * seconds, 0.1]))
        nodding = np.array([0, -0.02 * np.sin(seconds), 0])
        turning = pitch.inverse.rotate(np.array([0, 0, 0.15])) + nodding
        linear, angular = message.twist.twist.linear, message.twist.twist.angular
        np.testing.assert_allclose([linear.x, linear.y, linear.z], velocity, atol=0.02)
        np.testing.assert_allclose([angular.x, angular.y, angular.z], turning, atol=2e-3)


def test_ground_truth_is_the_occupied_voxels_in_their_colors(
    bag: list[Logged], nusc: NuScenes
) -> None:
    clouds = on_topic(bag, "/ground_truth/occupancy")
    assert sorted(clouds) == keyframe_stamps(nusc)
    for index, (_, cloud) in enumerate(sorted(clouds.items())):
        assert cloud.header.frame_id == "base_link"
        points = points_of(cloud)
        assert Counter(points["label"].tolist()) == {GROUND: 400, CAR: 1}
        car = points[points["label"] == CAR][0]
        corner = np.array([-40, -40, -1]) + 0.4 * np.array([120 + index, 100, 3])
        np.testing.assert_allclose([car["x"], car["y"], car["z"]], corner + 0.2, atol=1e-5)
        for point in (car, points[points["label"] == GROUND][0]):
            packed = int(np.asarray(point["rgb"]).view(np.uint32))
            assert (packed >> 16, packed >> 8 & 255, packed & 255) == COLORS[point["label"]]
        assert (car["mask_lidar"], car["mask_camera"]) == (1, 0)
        np.testing.assert_array_equal(points["mask_lidar"], points["x"] > 0)


def test_keyframes_only_leave_out_sweeps_but_no_pose(
    converted: Callable[[BagContent], list[Logged]], bag: list[Logged], dataset: NuscenesFixture
) -> None:
    keyframes = converted(BagContent(keyframes_only=True))
    everything, fewer = (Counter(item.topic for item in source) for source in (bag, keyframes))
    assert fewer.keys() == everything.keys()
    for topic, count in fewer.items():
        if topic in ("/tf", "/odom", "/tf_static"):
            assert count == everything[topic]
        else:
            assert count == dataset.keyframes
    assert everything["/cam_back/camera_info"] == dataset.images_per_camera
    assert everything["/radar_front/points"] == dataset.images_per_camera


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


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "0 bytes are not rows of 20"),
        (bytes(99), "99 bytes are not rows of 20"),
        (np.full(5, np.nan, "<f4").tobytes(), "NaN or infinite"),
        (np.array([1, 2, 3, 4, -1], "<f4").tobytes(), "ring must be 0 to 65535, got -1 to -1"),
    ],
)
def test_damaged_lidar_file_is_named_and_leaves_nothing(
    tmp_path: Path, content: bytes, said: str
) -> None:
    dataset = write_nuscenes(tmp_path / "nuscenes", SCENES[:1])
    path = max(dataset.root.glob("samples/LIDAR_TOP/*"))
    path.write_bytes(content)
    nusc = open_nuscenes(dataset.root, dataset.version)
    with pytest.raises(DatasetError) as caught:
        convert_scene(nusc, SCENE, tmp_path / "bag")
    assert str(path) in str(caught.value)
    assert said in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["nuscenes"]


def test_damaged_truth_and_annotations_are_named(tmp_path: Path) -> None:
    dataset = write_nuscenes(tmp_path / "nuscenes", SCENES[:1], annotations=True)
    write_truth(dataset, SCENE)
    labels = max(dataset.root.glob(f"gts/{SCENE}/*/labels.npz"))
    labels.write_bytes(labels.read_bytes()[:100])
    nusc = open_nuscenes(dataset.root, dataset.version)
    with pytest.raises(DatasetError, match=r"labels\.npz' are corrupt"):
        convert_scene(nusc, SCENE, tmp_path / "bag")
    nusc.sample_annotation[-1]["size"] = [1, "wide", 2]
    token = nusc.sample_annotation[-1]["token"]
    with pytest.raises(DatasetError, match=f"size of sample_annotation '{token}' must be 3"):
        convert_scene(nusc, SCENE, tmp_path / "bag", content=BagContent(("annotations",)))
    assert not (tmp_path / "bag").exists()


def counted_by_devkit(nusc: NuScenes, sample: dict[str, Any]) -> list[int]:
    path, boxes, _ = nusc.get_sample_data(sample["data"]["LIDAR_TOP"])
    points = LidarPointCloud.from_file(path).points[:3]
    return [int(points_in_box(box, points).sum()) for box in boxes]


@pytest.mark.keyframe
def test_real_lidar_boxes_and_truth_fit_each_other(keyframe_dir: Path, tmp_path: Path) -> None:
    """Through the bag's own tf, boxes hold the lidar points that the devkit finds in them."""
    version = next(path.parent.name for path in sorted(keyframe_dir.glob("*/scene.json")))
    nusc = open_nuscenes(keyframe_dir, version)
    scene = nusc.scene[0]["name"]
    convert_scene(nusc, scene, tmp_path / "bag")
    bag = read_bag(tmp_path / "bag")
    poses = global_from_base(bag)
    stamp_ns, cloud = max(on_topic(bag, "/lidar_top/points").items())
    map_from_lidar = poses[stamp_ns] @ base_from_sensor(bag, "lidar_top")
    points = xyz_of(cloud) @ map_from_lidar[:3, :3].T + map_from_lidar[:3, 3]
    found = []
    for marker in on_topic(bag, "/annotations")[stamp_ns].markers:
        if marker.action == ADD:
            box = matrix_from(marker.pose.position, marker.pose.orientation)
            inside = np.abs((points - box[:3, 3]) @ box[:3, :3])
            half = np.array([marker.scale.x, marker.scale.y, marker.scale.z]) / 2
            found.append(int((inside <= half).all(1).sum()))
    sample = nusc.get("sample", keyframe_tokens(nusc, scene)[-1])
    counted = counted_by_devkit(nusc, sample)
    assert sum(counted) > 100
    pairs = zip(found, counted, strict=True)
    assert all(abs(mine - theirs) <= 2 for mine, theirs in pairs)  # Points on a face.
    truth = on_topic(bag, "/ground_truth/occupancy").get(stamp_ns)
    if truth is not None:
        in_base = np.linalg.inv(poses[stamp_ns]) @ np.c_[points, np.ones(len(points))].T
        occupied = np.floor((xyz_of(truth) - OCC3D_GRID.lower) / 0.4).astype(int)
        hit = np.floor((in_base.T[:, :3] - OCC3D_GRID.lower) / 0.4).astype(int)
        inside_grid = ((hit >= 0) & (hit < OCC3D_GRID.shape)).all(1)
        # The lidar's returns from the vehicle itself are no part of the truth.
        outside_ego = np.linalg.norm(in_base[:2], axis=0) > 3
        voxels = set(map(tuple, occupied))
        shares = [tuple(index) in voxels for index in hit[inside_grid & outside_ego]]
        assert np.mean(shares) > 0.8
    (frame, *_) = iter_frames(nusc, scene)
    assert frame.stamp_ns in poses
