"""The node in its own process over DDS: what arrives, and what bad input does to it."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from rcl_interfaces.srv import SetParameters
from rclpy.client import Client
from rclpy.parameter import Parameter
from rclpy.qos import (
    DurabilityPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)

from gfocc_core.taxonomy import FREE_ID, GROUND_IDS
from gfocc_ros.publishing.cloud_messages import CLOUD_POINT
from tests.ros.camera_messages import camera_info, compressed_image, jpeg
from tests.ros.camera_world import MS, OFFSETS, CameraMessages, CameraWorld
from tests.ros.node_process import ROOT, NodeProcess
from tests.ros.running_node import GRID, Running, run, small_checkpoint

pytestmark = pytest.mark.ros


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> Iterator[Running]:
    """One node for the tests that any order suits; each sends frames of later stamps."""
    arguments = ("report_period_s:=1.0", "grid_min_height_m:=-50.0", "grid_max_height_m:=50.0")
    words = [word for argument in arguments for word in ("-p", argument)]
    with run(tmp_path_factory.mktemp("node"), checkpoint, *words) as both:
        both.world.send_until(lambda: bool(both.world.clouds), "the first cloud")
        yield both


def read_points(cloud: object) -> NDArray[np.void]:
    return np.frombuffer(cloud.data, CLOUD_POINT)  # type: ignore[attr-defined]


def test_six_cameras_at_their_own_stamps_give_one_cloud_at_the_reference_stamp(
    running: Running,
) -> None:
    before = len(running.world.clouds)
    cloud, grid = running.world.answer()
    assert len(running.world.clouds) == before + 1
    assert cloud.header.frame_id == grid.header.frame_id == "base_link"
    points = read_points(cloud)
    assert len(points) > 0
    position = np.stack([points["x"], points["y"], points["z"]], 1)
    steps = (position - np.array(GRID.lower)) / GRID.voxel_size - 0.5
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
    assert ((steps > -0.5) & (steps < np.array(GRID.shape) - 0.5)).all()
    assert (points["label"] != FREE_ID).all()
    assert (points["density"] >= 0.05).all()


def test_grid_agrees_with_the_cloud(running: Running) -> None:
    cloud, grid = running.world.answer()
    points = read_points(cloud)
    expected = np.full((grid.info.height, grid.info.width), -1)
    column = ((points["x"] - grid.info.origin.position.x) / grid.info.resolution).astype(int)
    row = ((points["y"] - grid.info.origin.position.y) / grid.info.resolution).astype(int)
    is_ground = np.isin(points["label"], GROUND_IDS)
    expected[row[is_ground], column[is_ground]] = 0
    expected[row[~is_ground], column[~is_ground]] = 100
    np.testing.assert_array_equal(np.reshape(grid.data, expected.shape), expected)


def test_rviz_shows_topics_that_the_node_publishes_with_a_fitting_type_and_qos(
    running: Running,
) -> None:
    content = yaml.safe_load((ROOT / "rviz" / "occupancy.rviz").read_text())
    kinds = {
        "PointCloud2": "sensor_msgs/msg/PointCloud2",
        "Map": "nav_msgs/msg/OccupancyGrid",
        "MarkerArray": "visualization_msgs/msg/MarkerArray",
    }
    displays = [d for d in content["Visualization Manager"]["Displays"] if "Topic" in d]
    assert {"occupancy", "grid"} <= {d["Topic"]["Value"].split("/")[-1] for d in displays}
    for display in displays:
        topic = display["Topic"]
        (publisher,) = running.world.node.get_publishers_info_by_topic(topic["Value"])
        assert publisher.topic_type == kinds[display["Class"].split("/")[1]]
        asked = QoSProfile(
            depth=1,
            reliability=ReliabilityPolicy[topic["Reliability Policy"].upper().replace(" ", "_")],
            durability=DurabilityPolicy[topic["Durability Policy"].upper().replace(" ", "_")],
        )
        found, reason = qos_check_compatible(publisher.qos_profile, asked)
        assert found != QoSCompatibility.ERROR, f"{topic['Value']}: {reason}"


def test_silent_camera_does_not_stop_the_output(running: Running) -> None:
    running.world.answer(silent=("cam_back",))
    running.node.wait_for_log("silent_camera: cam_back x1")


def corrupt_jpeg(messages: dict[str, CameraMessages], stamp_ns: int) -> None:
    image = compressed_image("cam_back", stamp_ns, jpeg()[:200])
    messages["cam_back"] = (image, camera_info("cam_back", stamp_ns))


def zero_focal(messages: dict[str, CameraMessages], stamp_ns: int) -> None:
    messages["cam_back"] = (messages["cam_back"][0], camera_info("cam_back", stamp_ns, focal=0.0))


def other_size(messages: dict[str, CameraMessages], stamp_ns: int) -> None:
    info = camera_info("cam_back", stamp_ns, size=(1600, 900))
    messages["cam_back"] = (messages["cam_back"][0], info)


def unknown_frame(messages: dict[str, CameraMessages], stamp_ns: int) -> None:
    image = compressed_image("cam_back", stamp_ns)
    image.header.frame_id = "nowhere"
    messages["cam_back"] = (image, messages["cam_back"][1])


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (corrupt_jpeg, ("undecodable_image: cam_back x1", "cannot decode an image of 200 bytes")),
        (zero_focal, ("bad_camera_info: cam_back x1", "fx=0.0")),
        (other_size, ("size_mismatch: cam_back x1", "80x48, its CameraInfo says 1600x900")),
        (unknown_frame, ("no_camera_pose: cam_back x1", "'nowhere'")),
    ],
)
def test_bad_camera_is_left_out_and_told(running: Running, damage, told) -> None:  # type: ignore[no-untyped-def]
    running.world.answer(
        change=lambda messages: damage(messages, running.world.stamp_ns + OFFSETS["cam_back"])
    )
    for text in told:
        running.node.wait_for_log(text)
    running.world.answer()
    assert running.node.process.poll() is None


def test_frame_of_garbage_only_is_dropped_and_the_next_one_answered(running: Running) -> None:
    messages = running.world.messages()
    garbage = {
        camera: (compressed_image(camera, running.world.stamp_ns + OFFSETS[camera], b"x"), info)
        for camera, (_, info) in messages.items()
    }
    stamp_ns = running.world.send(garbage)
    running.node.wait_for_log("too_few_cameras: frame x1")
    running.world.answer()
    assert stamp_ns not in running.world.clouds


def test_output_goes_on_when_time_is_set_back(running: Running) -> None:
    running.world.answer()
    running.world.stamp_ns -= 100_000 * MS
    running.world.answer()
    running.node.wait_for_log("time was set back")
    running.world.answer()


def change(running: Running, name: str, value: object) -> Any:
    """Set a parameter of the running node; returns rcl_interfaces/SetParametersResult."""
    service = "/occupancy/set_parameters"
    client: Client[Any, Any] = running.world.node.create_client(SetParameters, service)
    assert client.wait_for_service(10)
    parameter = Parameter(name, value=value).to_parameter_msg()
    future = client.call_async(SetParameters.Request(parameters=[parameter]))
    running.world.wait_for(future.done, "the answer of set_parameters")
    response: Any = future.result()
    return response.results[0]


def test_threshold_changes_at_run_time_within_its_range(running: Running) -> None:
    assert not change(running, "density_threshold", 1.5).successful
    assert change(running, "density_threshold", 0.5).successful
    try:
        points = read_points(running.world.answer()[0])
        assert (points["density"] >= 0.5).all()
    finally:
        assert change(running, "density_threshold", 0.05).successful
    lower = read_points(running.world.answer()[0])
    assert len(lower) > len(points)
    assert lower["density"].min() < 0.5


def test_neighborhood_and_height_band_change_at_run_time(running: Running) -> None:
    wide = running.world.answer()[0].width
    assert change(running, "neighborhood", 0).successful
    assert change(running, "grid_min_height_m", 49.0).successful
    try:
        narrow, grid = running.world.answer()
        assert 0 < narrow.width < wide
        assert 100 not in grid.data, "every obstacle ends below the band"
    finally:
        assert change(running, "neighborhood", -1).successful
        assert change(running, "grid_min_height_m", -50.0).successful
    assert running.world.answer()[0].width > narrow.width


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("checkpoint", "/other.safetensors", "read-only"),
        ("grid_min_height_m", 60.0, "less than grid_max_height_m (50.0)"),
        ("forecast_horizons_s", [0.5, 30.0], "got 30 s"),
    ],
)
def test_change_that_makes_no_sense_is_refused_with_its_reason(
    running: Running, name: str, value: object, told: str
) -> None:
    result = change(running, name, value)
    assert not result.successful
    assert told in result.reason
    running.world.answer()


def test_reports_count_every_frame_and_drop(running: Running) -> None:
    running.world.answer(silent=("cam_front_right",))
    running.world.wait_for(
        lambda: (
            sum(map(int, re.findall(r"(\d+) frames \(", running.node.log)))
            >= len(running.world.clouds)
        ),
        "reports of all frames",
    )
    last_report = running.node.log[running.node.log.rindex("dropped since the start") :]
    assert int(re.findall(r"silent_camera (\d+)", last_report)[0]) >= 1


def test_tf_that_never_comes_is_warned_of_by_name_and_sigint_ends_the_node(
    tmp_path: Path, checkpoint: Path
) -> None:
    arguments = ("-p", "fixed_frame:=nowhere")
    with run(tmp_path, checkpoint, *arguments, namespace="/lost") as running:
        running.world.send_until(lambda: "no_ego_pose: frame" in running.node.log, "the warning")
        assert "'base_link' in 'nowhere'" in running.node.log
        told = running.node.log.count("no_ego_pose: ")
        running.world.send_until(
            lambda: running.node.log.count("no_ego_pose: ") > told, "the next warning"
        )
        assert not running.world.clouds
        code, seconds = running.node.end_by(signal.SIGINT)
        assert code == 0
        assert seconds < 2
        assert "Traceback" not in running.node.log


def test_raw_images_give_output_and_sigterm_ends_the_node(tmp_path: Path, checkpoint: Path) -> None:
    arguments = ("-p", "image_transport:=raw")
    with run(tmp_path, checkpoint, *arguments, namespace="/robot_1/front", raw=True) as running:
        clouds = running.world.clouds
        running.world.send_until(lambda: any(c.width for c in clouds.values()), "a cloud")
        code, seconds = running.node.end_by(signal.SIGTERM)
        assert code == 0
        assert seconds < 2
        assert "Traceback" not in running.node.log


def test_signal_while_the_network_loads_ends_the_node(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path)
    maps = Path(f"/proc/{node.process.pid}/maps")
    if not maps.exists():
        node.kill()
        pytest.skip("needs /proc to see how far the process is")
    while "libtorch" not in maps.read_text():
        time.sleep(0.01)
    code, seconds = node.end_by(signal.SIGTERM)
    assert code == 0
    assert seconds < 2
    assert "Traceback" not in node.log
    assert "ready" not in node.log


@pytest.mark.slow
def test_signal_during_a_long_prediction_ends_the_node(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path, "-r", "__ns:=/long", "-p", "preset:=paper", "-p", "device:=cpu")
    try:
        node.wait_for_log("ready:", timeout_s=60)
        with CameraWorld("/long") as world:
            world.wait_for_node()
            for _ in range(3):
                world.send(world.messages())
                time.sleep(0.5)
            assert not world.clouds, "the prediction is too fast for this test"
            code, seconds = node.end_by(signal.SIGINT)
            world.wait_for(lambda: world.node.count_publishers("occupancy/grid") == 0, "the end")
        assert code == 0
        assert seconds < 2
    finally:
        node.kill()


def test_bad_arguments_end_with_code_2_and_one_line_that_names_them(
    tmp_path: Path, checkpoint: Path
) -> None:
    seven = f"[{', '.join(['cam_front', *(f'cam_{k}' for k in range(6))])}]"
    cases = {
        "type": (("-p", "slop_s:=wide"), ("'slop_s'", "wide")),
        "range": (("-p", "queue_size:=0"), ("'queue_size'", "0")),
        "missing": (("-p", "checkpoint:=/no/such.safetensors"), ("/no/such.safetensors",)),
        "foreign": (("-p", f"checkpoint:={__file__}"), (__file__, "safetensors")),
        "cameras": (("-p", f"checkpoint:={checkpoint}", "-p", f"cameras:={seven}"), ("7", "6")),
        "file": (("--params-file", "/no/such.yaml"), ("/no/such.yaml",)),
    }
    nodes = {name: NodeProcess(tmp_path / name, *args) for name, (args, _) in cases.items()}
    for name, (_, told) in cases.items():
        assert nodes[name].process.wait(60) == 2, nodes[name].log
        lines = [line for line in nodes[name].log.splitlines() if "occupancy_node:" in line]
        assert len(lines) == 1
        assert all(text in lines[0] for text in told), lines[0]
        assert "Traceback" not in nodes[name].log
