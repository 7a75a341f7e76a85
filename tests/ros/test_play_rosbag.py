"""The player: a bag goes out over real DDS, from a process of its own to subscribers here."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from gfocc_ros.bags.publishers import message_class
from gfocc_ros.play_rosbag import main
from tests.ros.played_bags import Bag, convert_drive, padded

pytestmark = pytest.mark.ros

ROOT = Path(__file__).resolve().parents[2]
LATCHED = QoSProfile(depth=10, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
QUEUE = QoSProfile(depth=500)


@pytest.fixture(scope="module")
def bags(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bag]:
    return convert_drive(tmp_path_factory.mktemp("bags"))


@pytest.fixture
def bag(bags: dict[str, Bag]) -> Bag:
    return bags["mcap"]


class Listener:
    """Subscribers in this process that note the bytes they receive, and when."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.received: dict[str, list[tuple[float, bytes]]] = defaultdict(list)
        self.news = threading.Condition()

    def subscribe(self, topic: str, type_name: str, qos: QoSProfile = QUEUE) -> None:
        def note(data: bytes) -> None:
            with self.news:
                self.received[topic].append((time.monotonic(), padded(bytes(data))))
                self.news.notify_all()

        self.node.create_subscription(message_class(type_name), topic, note, qos, raw=True)

    def subscribe_all(self, bag: Bag) -> None:
        for topic, type_name in bag.types.items():
            self.subscribe(topic, type_name, LATCHED if topic == "/tf_static" else QUEUE)

    def wait(self, topic: str, count: int, timeout_s: float = 15.0) -> list[bytes]:
        """The bytes of the first `count` messages of a topic, once they are here."""
        with self.news:
            arrived = self.news.wait_for(lambda: len(self.received[topic]) >= count, timeout_s)
            assert arrived, f"{len(self.received[topic])} of {count} messages on {topic}"
            return [data for _, data in self.received[topic][:count]]

    def bytes_of(self, topic: str) -> list[bytes]:
        with self.news:
            return [data for _, data in self.received[topic]]

    def times_of(self, topic: str) -> list[float]:
        with self.news:
            return [moment for moment, _ in self.received[topic]]


@pytest.fixture
def listener() -> Iterator[Listener]:
    context = Context()
    rclpy.init(context=context)
    node = Node("listener", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    yield Listener(node)
    executor.shutdown()
    thread.join(timeout=5)
    node.destroy_node()
    context.try_shutdown()


@contextmanager
def player(*words: object) -> Iterator[subprocess.Popen[str]]:
    """The command as a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gfocc_ros.play_rosbag", *map(str, words)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def finish(process: subprocess.Popen[str], timeout_s: float = 30.0) -> tuple[str, str]:
    """(stdout, stderr) of a player that must end by itself, well."""
    out, err = process.communicate(timeout=timeout_s)
    assert process.returncode == 0, err
    return out, err


def stop(process: subprocess.Popen[str]) -> tuple[str, str]:
    """(stdout, stderr) of a player that is interrupted once it has played what matters."""
    process.send_signal(signal.SIGINT)
    return finish(process, timeout_s=5)


def wait_until_it_publishes(listener: Listener, topic: str) -> None:
    """Wait until a player shows up on the graph."""
    deadline = time.monotonic() + 15
    while not listener.node.count_publishers(topic):
        assert time.monotonic() < deadline, f"nobody publishes {topic}"
        time.sleep(0.05)


def stamps_of(type_name: str, messages: list[bytes]) -> list[int]:
    """Stamps in nanoseconds inside serialised messages."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    stamps = []
    for data in messages:
        message: Any = store.deserialize_cdr(data, type_name)
        stamp = message.clock if hasattr(message, "clock") else message.header.stamp
        stamps.append(stamp.sec * 1_000_000_000 + stamp.nanosec)
    return stamps


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_everything_arrives_unchanged_and_in_time(
    bags: dict[str, Bag], listener: Listener, storage: str
) -> None:
    bag = bags[storage]
    listener.subscribe_all(bag)
    with player(bag.path) as process:
        out, err = finish(process)
    assert err == ""
    assert f"played {sum(map(len, bag.cdr.values()))} messages" in out
    offsets = []
    for topic, expected in bag.cdr.items():
        assert listener.wait(topic, len(expected)) == expected
        assert listener.bytes_of(topic) == expected
        due = [(stamp - bag.start_ns) / 1e9 for stamp in bag.stamps[topic]]
        if topic != "/tf_static":  # its one message may arrive while subscribers still match
            offsets += np.subtract(listener.times_of(topic), due).tolist()
    lateness = np.subtract(offsets, np.median(offsets))
    assert np.abs(lateness).max() < 0.4
    assert np.abs(lateness).mean() < 0.1


def test_rate_scales_the_time_between_messages(bag: Bag, listener: Listener) -> None:
    topic = "/cam_back/camera_info"
    listener.subscribe(topic, bag.types[topic])
    stamps = bag.stamps[topic]
    span_s = (stamps[-1] - stamps[0]) / 1e9
    with player(bag.path, "--rate", 4) as process:
        listener.wait(topic, len(stamps))
        stop(process)
    times = listener.times_of(topic)
    assert 0.7 * span_s / 4 < times[-1] - times[0] < 0.7 * span_s


def test_late_subscriber_gets_the_static_transforms(bag: Bag, listener: Listener) -> None:
    early, late = "/cam_front/camera_info", "/tf_static"
    listener.subscribe(early, bag.types[early])
    with player(bag.path, "--rate", 0.5) as process:
        listener.wait(early, 1)
        listener.subscribe(late, bag.types[late], LATCHED)
        assert listener.wait(late, 1) == bag.cdr[late]
        assert len(listener.bytes_of(early)) < len(bag.cdr[early])  # while it still plays
        stop(process)


def test_playing_waits_for_a_subscriber(bag: Bag, listener: Listener) -> None:
    with player(bag.path, "--wait", 20, "--rate", 4) as process:
        wait_until_it_publishes(listener, "/tf")
        time.sleep(1.0)
        assert process.poll() is None
        listener.subscribe_all(bag)
        _, err = finish(process)
    assert err == ""
    for topic, expected in bag.cdr.items():
        assert listener.wait(topic, len(expected)) == expected


def test_without_subscribers_it_plays_after_the_wait_and_says_so(bag: Bag) -> None:
    began = time.monotonic()
    with player(bag.path, "--wait", 0.3, "--rate", 10) as process:
        out, err = finish(process)
    assert time.monotonic() - began < 10 - 0.3  # the default wait is 10 s
    assert f"played {sum(map(len, bag.cdr.values()))} messages" in out
    assert err.count("\n") == 1
    assert f"nobody listens to {', '.join(sorted(bag.types))}\n" in err


def test_subscriber_that_asks_for_more_than_was_recorded_is_reported(
    bag: Bag, listener: Listener
) -> None:
    topic = "/cam_front/image_rect/compressed"
    listener.subscribe(topic, bag.types[topic], LATCHED)
    with player(bag.path, "--wait", 3, "--rate", 10) as process:
        _, err = finish(process)
    assert f"1 of 1 subscribers of {topic} cannot hear it" in err
    assert listener.bytes_of(topic) == []


def test_loop_starts_over_until_ctrl_c(bag: Bag, listener: Listener) -> None:
    topic = "/cam_back/camera_info"
    listener.subscribe(topic, bag.types[topic])
    once = bag.cdr[topic]
    with player(bag.path, "--loop", "--rate", 4) as process:
        listener.wait(topic, 2 * len(once) + 1)
        out, err = stop(process)
    assert err == ""
    assert "played" in out
    received = listener.bytes_of(topic)
    assert received[: 2 * len(once)] == once + once
    stamps = stamps_of(bag.types[topic], received)
    assert stamps[len(once)] < stamps[len(once) - 1]


def test_ctrl_c_while_waiting_for_subscribers_ends_cleanly(bag: Bag, listener: Listener) -> None:
    with player(bag.path, "--wait", 60) as process:
        wait_until_it_publishes(listener, "/tf")
        out, err = stop(process)
    assert "played 0 messages" in out
    assert err == ""


def test_clock_ticks_evenly_and_with_every_message(bag: Bag, listener: Listener) -> None:
    listener.subscribe("/clock", "rosgraph_msgs/msg/Clock")
    topic = "/cam_back/image_rect/compressed"  # its last message is the bag's last
    listener.subscribe(topic, bag.types[topic])
    with player(bag.path, "--clock") as process:
        listener.wait(topic, len(bag.cdr[topic]))
        stop(process)
    clock = stamps_of("rosgraph_msgs/msg/Clock", listener.bytes_of("/clock"))
    assert clock == sorted(clock)
    assert {stamp for own in bag.stamps.values() for stamp in own} <= set(clock)
    assert len(set(clock)) >= 100 * bag.duration_s
    assert max(np.diff(clock)) <= 10_000_000  # of bag time: 100 Hz
    assert (clock[0], clock[-1]) == (bag.start_ns, max(max(own) for own in bag.stamps.values()))


def test_topics_can_be_remapped(bag: Bag, listener: Listener) -> None:
    topic = "/cam_back/camera_info"
    listener.subscribe("/renamed", bag.types[topic])
    with player(bag.path, "--rate", 4, "--ros-args", "-r", f"{topic}:=/renamed") as process:
        assert listener.wait("/renamed", len(bag.cdr[topic])) == bag.cdr[topic]
        stop(process)


@pytest.fixture
def strange_bag(tmp_path: Path) -> Callable[[bool], Path]:
    """A bag with a topic of a type that no package has, alone or beside a known one."""

    def write(alone: bool) -> Path:
        store = get_typestore(Stores.ROS2_HUMBLE)
        store.register(get_types_from_msg("int32 value", "strange_msgs/msg/Thing"))
        path = tmp_path / "strange"
        with Writer(path, version=8, storage_plugin=StoragePlugin.SQLITE3) as writer:
            odd = writer.add_connection("/odd", "strange_msgs/msg/Thing", typestore=store)
            thing = store.types["strange_msgs/msg/Thing"](value=3)
            writer.write(odd, 10, store.serialize_cdr(thing, "strange_msgs/msg/Thing"))
            if not alone:
                known = writer.add_connection("/known", "std_msgs/msg/String", typestore=store)
                text = store.types["std_msgs/msg/String"](data="hello")
                writer.write(known, 20, store.serialize_cdr(text, "std_msgs/msg/String"))
        return path

    return write


def test_unknown_type_is_skipped_with_a_warning(
    strange_bag: Callable[[bool], Path], listener: Listener
) -> None:
    listener.subscribe("/known", "std_msgs/msg/String")
    with player(strange_bag(False)) as process:
        listener.wait("/known", 1)
        out, err = stop(process)
    assert err.count("\n") == 1
    assert "'/odd' skipped: message type 'strange_msgs/msg/Thing' is not installed" in err
    assert "played 1 messages" in out


def test_only_unknown_types_are_an_error(
    strange_bag: Callable[[bool], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(strange_bag(True))]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "no topic of the bag can be published" in lines[1]


@pytest.mark.parametrize("option", [["-r", "nonsense"], ["--nonsense"]])
def test_impossible_ros_argument_is_one_line_and_exit_code_2(bag: Bag, option: list[str]) -> None:
    with player(bag.path, "--ros-args", *option) as process:
        _, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert err.startswith("play_rosbag: error: ")
    assert err.count("\n") == 1
    assert "nonsense" in err


def test_the_bags_own_clock_gives_way_to_the_players(tmp_path: Path, listener: Listener) -> None:
    store = get_typestore(Stores.ROS2_HUMBLE)
    path = tmp_path / "bag"
    clock_type, text_type = "rosgraph_msgs/msg/Clock", "std_msgs/msg/String"
    with Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        recorded = writer.add_connection("/clock", clock_type, typestore=store)
        text = writer.add_connection("/text", text_type, typestore=store)
        time_type = store.types["builtin_interfaces/msg/Time"]
        strange = store.types[clock_type](clock=time_type(sec=77, nanosec=0))
        writer.write(recorded, 0, store.serialize_cdr(strange, clock_type))
        hello = store.types[text_type](data="hello")
        writer.write(text, 100_000_000, store.serialize_cdr(hello, text_type))
    listener.subscribe("/clock", "rosgraph_msgs/msg/Clock")
    listener.subscribe("/text", text_type)
    with player(path, "--clock") as process:
        listener.wait("/text", 1)
        _, err = stop(process)
    assert "own /clock skipped" in err
    clock = stamps_of(clock_type, listener.bytes_of("/clock"))
    assert clock[-1] == 100_000_000
    assert max(clock) == 100_000_000
