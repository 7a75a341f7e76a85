"""The contract of tf's buffer, kept by our stand-in and, where it is installed, by tf2_ros."""

from __future__ import annotations

import importlib
import math
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType

import pytest
import torch
from rclpy.duration import Duration
from rclpy.time import Time
from torch import Tensor

from gfocc_core.geometry import compose_ego_from_cam, invert_transform, transform_from
from tests.ros.tf_messages import SECOND, START, at, link, matrix, random_poses, shifted

STAND_IN = "gfocc_ros.compat.tf2_ros"


@pytest.fixture(params=[STAND_IN, "tf2_ros"])
def tf(request: pytest.FixtureRequest) -> ModuleType:
    if request.param == STAND_IN:
        return importlib.import_module(STAND_IN)
    return pytest.importorskip("tf2_ros", reason="no full ROS 2 here: only the stand-in is tested")


@pytest.fixture
def stand_in() -> ModuleType:
    return importlib.import_module(STAND_IN)


def test_chains_compose_upward_downward_and_across(tf: ModuleType) -> None:
    poses = random_poses(4, seed=1)
    buffer = tf.Buffer()
    buffer.set_transform(link("map", "odom", at(0), poses[0]), "test")
    buffer.set_transform(link("odom", "base", at(0), poses[1]), "test")
    buffer.set_transform_static(link("base", "left", at(0), poses[2]), "test")
    buffer.set_transform_static(link("base", "right", at(0), poses[3]), "test")
    odom, base, left, right = transform_from(poses[:, :3], poses[:, 3:])
    expected = {
        ("map", "left"): odom @ base @ left,
        ("left", "map"): invert_transform(odom @ base @ left),
        ("left", "right"): invert_transform(left) @ right,
        ("odom", "base"): base,
        ("base", "base"): torch.eye(4, dtype=torch.float64),
    }
    for (target, source), pose in expected.items():
        message = buffer.lookup_transform(target, source, at(0))
        assert (message.header.frame_id, message.child_frame_id) == (target, source)
        assert Time.from_msg(message.header.stamp).nanoseconds == at(0).nanoseconds
        torch.testing.assert_close(matrix(message), pose, rtol=0, atol=1e-9)


def test_interpolation_follows_a_constant_twist(tf: ModuleType) -> None:
    axis = torch.nn.functional.normalize(torch.tensor([1.0, -2.0, 3.0]).double(), dim=0)
    velocity = torch.tensor([12.0, -3.0, 0.5]).double()

    def truth(seconds: float) -> Tensor:
        half = 0.8 * seconds / 2
        turn = [math.cos(half), *(axis * math.sin(half)).tolist()]
        return torch.tensor([*(velocity * seconds).tolist(), *turn], dtype=torch.float64)

    buffer = tf.Buffer()
    for step in range(21):
        buffer.set_transform(link("odom", "base", at(step * 0.1), truth(step * 0.1)), "test")
    for seconds in (0.0, 0.0333, 0.75, 1.234567, 1.9999, 2.0):
        pose = truth(seconds)
        torch.testing.assert_close(
            matrix(buffer.lookup_transform("odom", "base", at(seconds))),
            transform_from(pose[:3], pose[3:]),
            rtol=0,
            atol=1e-9,
        )


def test_rotation_takes_the_shorter_way_whatever_the_sign(tf: ModuleType) -> None:
    buffer = tf.Buffer()
    small = math.radians(10) / 2
    buffer.set_transform(link("odom", "base", at(0), shifted(0.0)), "test")
    flipped = (0.0, 0.0, 0.0, -math.cos(small), 0.0, 0.0, -math.sin(small))
    buffer.set_transform(link("odom", "base", at(1), flipped), "test")
    turned = matrix(buffer.lookup_transform("odom", "base", at(0.5)))
    assert math.degrees(math.atan2(turned[1, 0], turned[0, 0])) == pytest.approx(5, abs=1e-9)


def test_zero_time_is_the_newest_that_all_links_share(tf: ModuleType) -> None:
    buffer = tf.Buffer()
    for seconds in (0.0, 1.0, 2.0):
        buffer.set_transform(link("map", "odom", at(seconds), shifted(100 * seconds)), "test")
    for seconds in (0.0, 1.0, 1.5):
        buffer.set_transform(link("odom", "base", at(seconds), shifted(seconds)), "test")
    buffer.set_transform_static(link("base", "camera", at(9), shifted(0.0)), "test")
    message = buffer.lookup_transform("map", "camera", Time())
    assert Time.from_msg(message.header.stamp).nanoseconds == at(1.5).nanoseconds
    assert message.transform.translation.x == pytest.approx(151.5)


def test_static_links_hold_at_all_times_and_survive_clear(tf: ModuleType) -> None:
    buffer = tf.Buffer()
    buffer.set_transform_static(link("base", "camera", at(5), shifted(1.5)), "test")
    for moment in (Time(), at(-1000), at(1000)):
        buffer.clear()
        assert buffer.lookup_transform("base", "camera", moment).transform.translation.x == 1.5


def test_history_longer_than_the_cache_is_forgotten(tf: ModuleType) -> None:
    buffer = tf.Buffer(cache_time=Duration(seconds=2))
    for step in range(51):
        buffer.set_transform(link("odom", "base", at(step * 0.1), shifted(step)), "test")
    assert not buffer.can_transform("odom", "base", at(2.9))
    assert buffer.lookup_transform("odom", "base", at(3.05)).transform.translation.x == 30.5


def test_transforms_may_arrive_out_of_order(tf: ModuleType) -> None:
    buffer = tf.Buffer()
    for seconds in (0.0, 2.0, 1.0):
        buffer.set_transform(link("odom", "base", at(seconds), shifted(seconds**2)), "test")
    assert buffer.lookup_transform("odom", "base", at(0.5)).transform.translation.x == 0.5
    assert buffer.lookup_transform("odom", "base", at(1.5)).transform.translation.x == 2.5


def test_a_transform_older_than_the_cache_is_refused_until_clear(tf: ModuleType) -> None:
    buffer = tf.Buffer()
    buffer.set_transform(link("odom", "base", at(100), shifted(1.0)), "test")
    buffer.set_transform(link("odom", "base", at(0), shifted(2.0)), "test")
    assert not buffer.can_transform("odom", "base", at(0))
    buffer.clear()
    assert not buffer.can_transform("odom", "base", at(100))
    buffer.set_transform(link("odom", "base", at(0), shifted(2.0)), "test")
    assert buffer.lookup_transform("odom", "base", at(0)).transform.translation.x == 2.0


def test_a_frame_may_change_its_parent(tf: ModuleType) -> None:
    buffer = tf.Buffer()
    buffer.set_transform(link("shelf", "box", at(0), shifted(1.0)), "test")
    buffer.set_transform(link("gripper", "box", at(1), shifted(2.0)), "test")
    assert buffer.lookup_transform("shelf", "box", at(0.5)).transform.translation.x == 1.0
    assert buffer.lookup_transform("gripper", "box", at(1)).transform.translation.x == 2.0


def test_what_fails_has_its_own_exception(tf: ModuleType) -> None:
    buffer = tf.Buffer()
    buffer.set_transform(link("odom", "base", at(0), shifted(0.0)), "test")
    buffer.set_transform(link("odom", "base", at(1), shifted(0.0)), "test")
    buffer.set_transform(link("table", "cup", at(0), shifted(0.0)), "test")
    with pytest.raises(tf.LookupException, match="nowhere"):
        buffer.lookup_transform("odom", "nowhere", at(0))
    for moment in (at(0), Time()):
        with pytest.raises(tf.ConnectivityException, match=r"base.*cup|cup.*base"):
            buffer.lookup_transform("base", "cup", moment)
    for moment in (at(-0.1), at(1.1)):
        with pytest.raises(tf.ExtrapolationException, match=r"base.*odom|odom.*base"):
            buffer.lookup_transform("odom", "base", moment)
    with pytest.raises(tf.ExtrapolationException):
        buffer.lookup_transform("table", "cup", at(0.001))
    for invalid in ("", "/base"):
        with pytest.raises(tf.InvalidArgumentException):
            buffer.lookup_transform("odom", invalid, at(0))
    for name in ("Lookup", "Connectivity", "Extrapolation", "InvalidArgument"):
        assert issubclass(getattr(tf, f"{name}Exception"), tf.TransformException)


def test_frames_in_a_circle_are_an_error_and_no_endless_walk(tf: ModuleType) -> None:
    buffer = tf.Buffer()
    buffer.set_transform(link("b", "a", at(0), shifted(1.0)), "test")
    buffer.set_transform(link("a", "b", at(0), shifted(1.0)), "test")
    buffer.set_transform(link("c", "d", at(0), shifted(1.0)), "test")
    for moment in (at(0), Time()):
        with pytest.raises(tf.LookupException, match="loop"):
            buffer.lookup_transform("c", "a", moment)


def test_leading_slashes_of_received_frames_are_dropped(tf: ModuleType) -> None:
    buffer = tf.Buffer()
    buffer.set_transform(link("/odom", "/base", at(0), shifted(3.0)), "test")
    assert buffer.lookup_transform("odom", "base", at(0)).transform.translation.x == 3.0


@pytest.mark.parametrize(
    ("parent", "child", "pose"),
    [
        ("odom", "base", (math.nan, 0, 0, 1, 0, 0, 0)),
        ("odom", "base", (0, 0, 0, math.nan, 0, 0, 0)),
        ("odom", "base", (0, 0, 0, 0, 0, 0, 0)),
        ("odom", "base", (0, 0, 0, 1, 0.2, 0, 0)),
        ("base", "base", shifted(0.0)),
        ("", "base", shifted(0.0)),
        ("odom", "", shifted(0.0)),
    ],
    ids=["nan", "nan turn", "zero turn", "long turn", "self", "no parent", "no child"],
)
def test_bad_transforms_leave_the_buffer_as_it_was(
    tf: ModuleType, parent: str, child: str, pose: tuple[float, ...]
) -> None:
    buffer = tf.Buffer()
    buffer.set_transform(link("odom", "base", at(0), shifted(7.0)), "test")
    buffer.set_transform(link(parent, child, at(1), pose), "test")
    newest = buffer.lookup_transform("odom", "base", Time())
    assert Time.from_msg(newest.header.stamp).nanoseconds == at(0).nanoseconds
    assert newest.transform.translation.x == 7.0


def test_full_lookup_sees_the_camera_at_its_own_time(tf: ModuleType) -> None:
    poses = random_poses(4, seed=2)
    first, second, middle, mount = transform_from(poses[:, :3], poses[:, 3:])
    buffer = tf.Buffer()
    for seconds, pose in zip((0.0, 1.0, 0.4), poses[:3], strict=True):
        buffer.set_transform(link("odom", "base", at(seconds), pose), "test")
    buffer.set_transform_static(link("base", "camera", at(0), poses[3]), "test")
    for ego_time, cam_time, ego, cam in ((0, 1, first, second), (1, 0.4, second, middle)):
        message = buffer.lookup_transform_full("base", at(ego_time), "camera", at(cam_time), "odom")
        expected = compose_ego_from_cam(ego, cam, mount)
        torch.testing.assert_close(matrix(message), expected, rtol=0, atol=1e-8)
        assert Time.from_msg(message.header.stamp).nanoseconds == at(ego_time).nanoseconds
    assert buffer.can_transform_full("base", at(0), "camera", at(1), "odom")
    assert not buffer.can_transform_full("base", at(0), "camera", at(1.1), "odom")
    with pytest.raises(tf.LookupException, match="mars"):
        buffer.lookup_transform_full("base", at(0), "camera", at(1), "mars")


def test_can_transform_tells_why_not(tf: ModuleType) -> None:
    buffer = tf.Buffer()
    buffer.set_transform(link("odom", "base", at(0), shifted(0.0)), "test")
    assert buffer.can_transform("odom", "base", at(0))
    able, why = buffer.can_transform("odom", "nowhere", at(0), return_debug_tuple=True)
    assert not able
    assert "nowhere" in why


@pytest.mark.parametrize("full", [False, True], ids=["simple", "full"])
def test_a_waiting_lookup_answers_when_another_thread_brings_the_transform(
    tf: ModuleType, full: bool
) -> None:
    buffer = tf.Buffer()
    buffer.set_transform(link("odom", "base", at(0), shifted(0.0)), "test")
    arrival = threading.Timer(
        0.2, buffer.set_transform, (link("odom", "base", at(1), shifted(1.0)), "test")
    )
    arrival.start()
    began = time.monotonic()
    patient = Duration(seconds=10)
    if full:
        found = buffer.lookup_transform_full(
            "odom", at(0), "base", at(0.5), "odom", timeout=patient
        )
    else:
        found = buffer.lookup_transform("odom", "base", at(0.5), timeout=patient)
    waited = time.monotonic() - began
    arrival.join()
    assert found.transform.translation.x == 0.5
    assert 0.15 < waited < 2


def test_a_lookup_waits_no_longer_than_its_timeout(tf: ModuleType) -> None:
    buffer = tf.Buffer()
    buffer.set_transform(link("odom", "base", at(0), shifted(0.0)), "test")
    began = time.monotonic()
    with pytest.raises(tf.ExtrapolationException):
        buffer.lookup_transform("odom", "base", at(1), timeout=Duration(seconds=0.2))
    assert 0.19 < time.monotonic() - began < 2


def test_readers_never_see_half_a_transform(tf: ModuleType) -> None:
    """While one thread writes, every answer of others lies on the line x = y = seconds."""
    buffer = tf.Buffer()
    buffer.set_transform(link("odom", "base", at(0), shifted(0.0)), "test")
    faults: list[tuple[float, float, float]] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            found = buffer.lookup_transform("odom", "base", Time())
            seconds = (Time.from_msg(found.header.stamp).nanoseconds - START) / SECOND
            move = found.transform.translation
            if not move.x == move.y == pytest.approx(seconds):
                faults.append((seconds, move.x, move.y))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for step in range(2000):
        seconds = step * 0.01
        pose = (seconds, seconds, 0.0, 1.0, 0.0, 0.0, 0.0)
        buffer.set_transform(link("odom", "base", at(seconds), pose), "test")
    done.set()
    for reader in readers:
        reader.join()
    assert not faults


def test_an_extrapolation_error_tells_the_request_and_the_span(stand_in: ModuleType) -> None:
    buffer = stand_in.Buffer()
    buffer.set_transform(link("map", "odom", at(0), shifted(0.0)), "test")
    buffer.set_transform(link("map", "odom", at(5), shifted(0.0)), "test")
    buffer.set_transform(link("odom", "base", at(0.25), shifted(0.0)), "test")
    buffer.set_transform(link("odom", "base", at(0.5), shifted(0.0)), "test")
    with pytest.raises(stand_in.ExtrapolationException) as error:
        buffer.lookup_transform("map", "base", at(0.75))
    whole = START // SECOND
    for part in ("'map'", "'base'", "'odom' -> 'base'", "future"):
        assert part in str(error.value)
    for stamp in ("750000000", "250000000", "500000000"):
        assert f"{whole}.{stamp} s" in str(error.value)


def test_a_lookup_takes_far_less_than_a_millisecond(stand_in: ModuleType) -> None:
    buffer = stand_in.Buffer()
    for step in range(1000):
        buffer.set_transform(link("map", "odom", at(step * 0.01), shifted(step)), "test")
        buffer.set_transform(link("odom", "base", at(step * 0.01), shifted(step)), "test")
    buffer.set_transform_static(link("base", "camera", at(0), shifted(1.0)), "test")
    times = []
    for step in range(500):
        began = time.perf_counter()
        buffer.lookup_transform_full("base", at(5.005), "camera", at(step * 0.01 + 0.003), "map")
        times.append(time.perf_counter() - began)
    assert statistics.median(times) < 0.5e-3


def test_the_standard_package_is_taken_where_it_imports(tmp_path: Path) -> None:
    names = importlib.import_module("gfocc_ros.compat.tf").__all__
    package = tmp_path / "tf2_ros"
    package.mkdir()
    (package / "__init__.py").write_text(
        "\n".join(f"class {name}(Exception): pass" for name in names)
    )
    program = (
        f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(Path.cwd())!r}]\n"
        "from gfocc_ros.compat import tf\n"
        "print({getattr(tf, name).__module__ for name in tf.__all__})\n"
        "print('gfocc_ros.compat.tf2_buffer' in sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert answer.stdout.split("\n")[:2] == ["{'tf2_ros'}", "False"]
