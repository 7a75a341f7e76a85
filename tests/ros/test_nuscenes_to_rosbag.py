"""The converter: a nuScenes scene becomes a bag of standard messages, whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest
from mcap.reader import make_reader
from nuscenes.nuscenes import NuScenes
from pyquaternion import Quaternion
from rosbags.highlevel import AnyReader
from rosbags.interfaces import QosDurability, QosReliability
from rosbags.typesys import get_types_from_msg
from ruamel.yaml import YAML

from gfocc_core.data.frames import iter_frames
from gfocc_core.data.scenes import keyframe_tokens, open_nuscenes
from gfocc_ros.bags.conversion import convert_scene
from gfocc_ros.nuscenes_to_rosbag import main
from tests.nuscenes_fixture import CAMERAS, SCENES, NuscenesFixture, write_nuscenes
from tests.ros.bag_contents import Logged, global_from_base, matrix_of, read_bag
from tests.ros.conversion_command import arguments

ROOT = Path(__file__).resolve().parents[2]
Array = npt.NDArray[Any]
STORAGES = ("mcap", "sqlite3")


def pose_of(record: dict[str, Any]) -> Array:
    matrix: Array = Quaternion(record["rotation"]).transformation_matrix
    matrix[:3, 3] = record["translation"]
    return matrix


def readings_of(nusc: NuScenes, scene: str) -> list[dict[str, Any]]:
    samples = set(keyframe_tokens(nusc, scene))
    return [record for record in nusc.sample_data if record["sample_token"] in samples]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> NuscenesFixture:
    return write_nuscenes(tmp_path_factory.mktemp("nuscenes"))


@pytest.fixture(scope="module")
def nusc(dataset: NuscenesFixture) -> NuScenes:
    return open_nuscenes(dataset.root, dataset.version)


@pytest.fixture(scope="module", params=STORAGES)
def bag(
    request: pytest.FixtureRequest, nusc: NuScenes, tmp_path_factory: pytest.TempPathFactory
) -> list[Logged]:
    """The second scene's bag, once per storage."""
    path = tmp_path_factory.mktemp("bag") / "scene"
    convert_scene(nusc, SCENES[1], path, request.param)
    return read_bag(path)


@pytest.fixture
def damaged(tmp_path: Path) -> NuscenesFixture:
    """A dataset of one scene to be damaged."""
    return write_nuscenes(tmp_path / "nuscenes", scenes=SCENES[:1])


def test_messages_are_in_the_order_of_their_stamps(
    bag: list[Logged], dataset: NuscenesFixture
) -> None:
    log = [logged.log_ns for logged in bag]
    assert log == sorted(log)
    assert log == [logged.stamp_ns for logged in bag]
    counts: dict[str, int] = defaultdict(int)
    for logged in bag:
        counts[logged.topic] += 1
    expected = {"/tf_static": 1, "/tf": counts["/tf"], "/odom": counts["/tf"]}
    expected["/lidar_top/points"] = dataset.keyframes
    for camera in CAMERAS:
        expected[f"/{camera.lower()}/camera_info"] = dataset.images_per_camera
        expected[f"/{camera.lower()}/image_rect/compressed"] = dataset.images_per_camera
    assert counts == expected


def test_images_keep_their_jpeg_bytes(bag: list[Logged], nusc: NuScenes) -> None:
    images = {
        (logged.topic, logged.stamp_ns): logged.message
        for logged in bag
        if logged.topic.endswith("/compressed")
    }
    files = 0
    for reading in readings_of(nusc, SCENES[1]):
        if reading["sensor_modality"] != "camera":
            continue
        camera = reading["channel"].lower()
        image = images[f"/{camera}/image_rect/compressed", reading["timestamp"] * 1000]
        assert image.data.tobytes() == Path(nusc.dataroot, reading["filename"]).read_bytes()
        assert image.format == "jpeg"
        assert image.header.frame_id == f"{camera}_optical_frame"
        files += 1
    assert files == len(images)


def test_every_reading_has_its_ego_pose_in_tf_once(bag: list[Logged], nusc: NuScenes) -> None:
    poses = global_from_base(bag)
    readings = readings_of(nusc, SCENES[1])
    assert set(poses) == {reading["timestamp"] * 1000 for reading in readings}
    assert len(poses) < len(readings)  # CAM_BACK and LIDAR_TOP share the keyframes' stamps
    for reading in readings:
        expected = pose_of(nusc.get("ego_pose", reading["ego_pose_token"]))
        np.testing.assert_allclose(poses[reading["timestamp"] * 1000], expected, atol=1e-8)


def test_odom_starts_at_the_first_pose_and_stays(bag: list[Logged], nusc: NuScenes) -> None:
    chain = [logged.message.transforms for logged in bag if logged.topic == "/tf"]
    first = min(readings_of(nusc, SCENES[1]), key=lambda reading: reading["timestamp"])
    map_from_odom = pose_of(nusc.get("ego_pose", first["ego_pose_token"]))
    for to_odom, _ in chain:
        np.testing.assert_allclose(matrix_of(to_odom), map_from_odom, atol=1e-9)
    np.testing.assert_allclose(matrix_of(chain[0][1]), np.eye(4), atol=1e-9)
    assert np.linalg.norm(matrix_of(chain[-1][1])[:3, 3]) > 5


def test_tf_and_camera_info_reproduce_the_frames_rig(bag: list[Logged], nusc: NuScenes) -> None:
    poses = global_from_base(bag)
    (static,) = (logged.message for logged in bag if logged.topic == "/tf_static")
    mounts = {transform.child_frame_id: transform for transform in static.transforms}
    assert {transform.header.frame_id for transform in static.transforms} == {"base_link"}
    assert set(mounts) == {f"{camera.lower()}_optical_frame" for camera in CAMERAS} | {"lidar_top"}
    infos = {(item.topic, item.stamp_ns): item.message for item in bag if "info" in item.topic}
    tokens = keyframe_tokens(nusc, SCENES[1])
    for token, frame in zip(tokens, iter_frames(nusc, SCENES[1]), strict=True):
        for index, camera in enumerate(frame.rig.names):
            name = camera.lower()
            reading = nusc.get("sample_data", nusc.get("sample", token)["data"][camera])
            stamp_ns = reading["timestamp"] * 1000
            ego_from_cam = (
                np.linalg.inv(poses[frame.stamp_ns])
                @ poses[stamp_ns]
                @ matrix_of(mounts[f"{name}_optical_frame"])
            )
            np.testing.assert_allclose(frame.rig.ego_from_cam[index], ego_from_cam, atol=1e-5)
            info = infos[f"/{name}/camera_info", stamp_ns]
            intrinsics = frame.rig.intrinsics[index].numpy()
            np.testing.assert_allclose(info.k.reshape(3, 3), intrinsics, rtol=1e-6)
            np.testing.assert_allclose(info.p.reshape(3, 4)[:, :3], intrinsics, rtol=1e-6)
            np.testing.assert_array_equal(info.p.reshape(3, 4)[:, 3], 0)
            np.testing.assert_array_equal(info.r.reshape(3, 3), np.eye(3))
            assert (info.distortion_model, info.d.tolist()) == ("plumb_bob", [0.0] * 5)
            assert (info.height, info.width) == frame.rig.image_sizes[index]
            assert info.header.frame_id == f"{name}_optical_frame"


@pytest.mark.parametrize("storage", STORAGES)
def test_tf_static_is_offered_latched(nusc: NuScenes, tmp_path: Path, storage: str) -> None:
    convert_scene(nusc, SCENES[0], tmp_path / "bag", storage)
    with AnyReader([tmp_path / "bag"]) as reader:
        offered = {c.topic: cast(Any, c.ext).offered_qos_profiles for c in reader.connections}
    for topic, profiles in offered.items():
        (qos,) = profiles
        latched = topic == "/tf_static"
        assert qos.reliability == QosReliability.RELIABLE
        assert (qos.durability == QosDurability.TRANSIENT_LOCAL) == latched


def test_metadata_suits_the_oldest_rosbag2(nusc: NuScenes, tmp_path: Path) -> None:
    """Humble reads QoS as a string of numbers; newer ones still do, and need custom_data."""
    convert_scene(nusc, SCENES[0], tmp_path / "bag")
    information = YAML(typ="safe").load(tmp_path / "bag" / "metadata.yaml")
    metadata = information["rosbag2_bagfile_information"]
    assert metadata["version"] < 9
    assert metadata["custom_data"].items() >= {"source": "nuScenes", "scene": SCENES[0]}.items()
    assert [(tmp_path / "bag" / name).is_file() for name in metadata["relative_file_paths"]] == [
        True
    ]
    for topic in metadata["topics_with_message_count"]:
        (qos,) = YAML(typ="safe").load(topic["topic_metadata"]["offered_qos_profiles"])
        assert qos["reliability"] == 1
        assert qos["history"] == 1


def test_another_mcap_reader_accepts_the_file(nusc: NuScenes, tmp_path: Path) -> None:
    counts = convert_scene(nusc, SCENES[0], tmp_path / "bag", "mcap")
    with (tmp_path / "bag" / "bag.mcap").open("rb") as stream:
        reader = make_reader(stream, validate_crcs=True)
        summary = reader.get_summary()
        assert summary is not None
        assert summary.statistics is not None
        assert summary.statistics.message_count == sum(counts.values())
        assert summary.chunk_indexes
        found: dict[str, int] = defaultdict(int)
        for schema, channel, message in reader.iter_messages():
            assert schema is not None
            assert (schema.encoding, channel.message_encoding) == ("ros2msg", "cdr")
            types = get_types_from_msg(schema.data.decode(), schema.name)
            assert schema.name in types
            latched = "durability: 1" in channel.metadata["offered_qos_profiles"]
            assert latched == (channel.topic == "/tf_static")
            assert message.log_time == message.publish_time
            found[channel.topic] += 1
    assert found == counts


@pytest.mark.keyframe
def test_real_keyframe_makes_a_bag(keyframe_dir: Path, tmp_path: Path) -> None:
    version = next(path.parent.name for path in sorted(keyframe_dir.glob("*/scene.json")))
    nusc = open_nuscenes(keyframe_dir, version)
    scene = nusc.scene[0]["name"]
    out = tmp_path / "bag"
    words = ["--dataroot", str(keyframe_dir), "--version", version, "--scene", scene]
    assert main([*words, "--out", str(out)]) == 0
    bag = read_bag(out)
    jpegs = [item.message.data.tobytes() for item in bag if item.topic.endswith("/compressed")]
    files = [
        Path(nusc.dataroot, reading["filename"]).read_bytes()
        for reading in readings_of(nusc, scene)
        if reading["sensor_modality"] == "camera"
    ]
    assert sorted(jpegs) == sorted(files)
    poses = global_from_base(bag)
    for frame in iter_frames(nusc, scene):
        np.testing.assert_allclose(poses[frame.stamp_ns], frame.global_from_ego, atol=1e-8)


def test_converting_needs_no_ros(dataset: NuscenesFixture, tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "for name in ('rclpy', 'rclpy.node', 'sensor_msgs', 'tf2_msgs', 'rosbag2_py'):\n"
        "    sys.modules[name] = None\n"
        "from gfocc_ros.nuscenes_to_rosbag import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    words = arguments(dataset, tmp_path / "bag", "--scene", SCENES[0])
    done = subprocess.run(
        [sys.executable, "-c", script, *words], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert SCENES[0] in done.stdout
    assert read_bag(tmp_path / "bag")


def test_the_only_scene_needs_no_name_and_folders_are_created(
    damaged: NuscenesFixture, tmp_path: Path
) -> None:
    out = tmp_path / "some" / "where" / "bag"
    assert main(arguments(damaged, out)) == 0
    assert read_bag(out)
    assert [path.name for path in out.parent.iterdir()] == ["bag"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["nuscenes", "some"]
