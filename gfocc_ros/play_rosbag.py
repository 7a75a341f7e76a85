"""Play a ROS 2 bag over DDS, for machines that have rclpy but no rosbag2.

The messages go out as the bytes that were recorded, with the recorded QoS and timing. Playing
starts when the subscribers are matched (see `--wait`) and ends when they have acknowledged. Large
images go through shared memory (see `gfocc_ros.large_images`).
"""

from __future__ import annotations

import math
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import rclpy
from rclpy.context import Context
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args
from rosgraph_msgs.msg import Clock

from gfocc_core.command_line import OneLineParser, report_bad_input
from gfocc_ros.bags.command import BagError
from gfocc_ros.bags.publishers import create_publishers, wait_for_subscribers
from gfocc_ros.bags.recording import RecordedMessage, Recording
from gfocc_ros.large_images import use_large_images_profile

COMMAND = "play_rosbag"
CLOCK_TOPIC = "/clock"
CLOCK_HZ = 100.0
LOOP_PAUSE_S = 0.1
"""Between the last message and the first of the next round."""
ACKNOWLEDGE_S = 10.0
"""Longest wait for subscribers to acknowledge what they were sent (Fast DDS takes up to 3 s)."""
LINGER_S = 0.5
"""For subscribers of best effort, which read after the player is done and acknowledge nothing."""
_LONGEST_NAP_S = 0.05
_NS = 1_000_000_000


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit code (0 also after Ctrl-C, 2: bad input)."""
    words = sys.argv[1:] if argv is None else argv
    parser = OneLineParser(prog=COMMAND, description=(__doc__ or "").split("\n")[0])
    parser.add_argument("bag", type=Path, help="bag folder, or a .mcap or .db3 file")
    parser.add_argument("--rate", type=float, default=1.0, help="times real time (default 1)")
    parser.add_argument("--loop", action="store_true", help="start over at the end, until stopped")
    parser.add_argument(
        "--clock", action="store_true", help="publish /clock at 100 Hz and with every message"
    )
    parser.add_argument(
        "--wait",
        type=float,
        default=10.0,
        metavar="S",
        help="start at the latest after S seconds, subscribers or not (default 10)",
    )
    try:
        own_words = remove_ros_args([COMMAND, *words])[1:]
    except RuntimeError as error:  # Every error of rcl is one.
        parser.error(str(error))
    args = parser.parse_args(own_words)
    if not (math.isfinite(args.rate) and args.rate > 0):
        parser.error(f"--rate must be a positive number, got {args.rate}")
    if not args.wait >= 0:
        parser.error(f"--wait must be 0 or more seconds, got {args.wait}")
    try:
        with Recording(args.bag) as recording, _stop_on_signal() as stop, _ros_node(words) as node:
            played = _play(node, recording, stop, args.rate, args.loop, args.clock, args.wait)
    except BagError as error:
        return report_bad_input(COMMAND, error)
    print(f"played {played} messages")
    return 0


class StopSignal:
    """Whether Ctrl-C (or a terminate signal) has asked the player to end."""

    def __init__(self) -> None:
        self.requested = False

    def request(self, number: int, frame: FrameType | None) -> None:
        self.requested = True

    def sleep_until(self, due_ns: int) -> bool:
        """Sleep until a time of the monotonic clock; False when asked to end."""
        while not self.requested:
            remaining_s = (due_ns - time.monotonic_ns()) / _NS
            if remaining_s <= 0:
                return True
            time.sleep(min(remaining_s, _LONGEST_NAP_S))
        return False


class Player:
    """Publishes messages at their times; every due time counts from the start, so none drifts."""

    def __init__(
        self,
        publishers: Mapping[str, Publisher[Any]],
        clock: Publisher[Any] | None,
        rate: float,
        stop: StopSignal,
    ) -> None:
        self._publishers = publishers
        self._clock = clock
        self._rate = rate
        self._stop = stop

    def play_once(self, messages: Iterator[RecordedMessage], start_ns: int) -> int:
        """Play messages, the stamp start_ns being now; returns how many went out."""
        began_ns = time.monotonic_ns()
        tick_ns, step_ns = start_ns, max(1, round(self._rate * _NS / CLOCK_HZ))

        def arrived(stamp_ns: int) -> bool:
            return self._stop.sleep_until(began_ns + round((stamp_ns - start_ns) / self._rate))

        played = 0
        for message in messages:
            while self._clock and tick_ns < message.stamp_ns:
                if not arrived(tick_ns):
                    return played
                self._tell_time(tick_ns)
                tick_ns += step_ns
            if not arrived(message.stamp_ns):
                return played
            self._tell_time(message.stamp_ns)
            self._publishers[message.topic].publish(message.cdr)
            played += 1
        return played

    def _tell_time(self, stamp_ns: int) -> None:
        if self._clock:
            clock = Clock()
            clock.clock.sec, clock.clock.nanosec = divmod(stamp_ns, _NS)
            self._clock.publish(clock)


def _play(
    node: Node,
    recording: Recording,
    stop: StopSignal,
    rate: float,
    loop: bool,
    with_clock: bool,
    wait_s: float,
) -> int:
    topics = recording.topics()
    if with_clock and any(topic.name == CLOCK_TOPIC for topic in topics):
        _warn(f"the bag's own {CLOCK_TOPIC} skipped, since --clock replaces it")
        topics = [topic for topic in topics if topic.name != CLOCK_TOPIC]
    created = create_publishers(node, topics, _warn)
    publishers = {name: publisher for name, (_, publisher) in created.items()}
    clock = node.create_publisher(Clock, CLOCK_TOPIC, 10) if with_clock else None
    everything = {**publishers, **({CLOCK_TOPIC: clock} if clock else {})}
    wait_for_subscribers(node, everything, wait_s, lambda: stop.requested, _warn)
    print(f"playing {recording.path}: {recording.duration_s:.3f} s at rate {rate:g}", flush=True)
    player = Player(publishers, clock, rate, stop)
    published = [topic for topic, _ in created.values()]
    played = 0
    while True:
        played += player.play_once(recording.messages(published), recording.start_ns)
        if not loop:
            break
        if not stop.sleep_until(time.monotonic_ns() + round(LOOP_PAUSE_S * _NS)):
            break
    _wait_for_readers(publishers, stop)
    return played


def _wait_for_readers(publishers: Mapping[str, Publisher[Any]], stop: StopSignal) -> None:
    deadline = time.monotonic() + ACKNOWLEDGE_S
    waiting = list(publishers)
    while waiting and time.monotonic() < deadline and not stop.requested:
        nap = Duration(nanoseconds=round(_LONGEST_NAP_S * _NS))
        waiting = [name for name in waiting if not publishers[name].wait_for_all_acked(nap)]
    if waiting and not stop.requested:
        _warn(f"not all subscribers acknowledged {', '.join(waiting)}")
    stop.sleep_until(time.monotonic_ns() + round(LINGER_S * _NS))


@contextmanager
def _ros_node(words: list[str]) -> Iterator[Node]:
    concern = use_large_images_profile()
    if concern:
        _warn(concern)
    context = Context()
    options = SignalHandlerOptions.NO
    try:
        rclpy.init(args=[COMMAND, *words], context=context, signal_handler_options=options)
    except RuntimeError as error:  # Every error of rcl is one.
        raise BagError(f"ROS cannot be started: {error}") from error
    try:
        node = Node(COMMAND, context=context, enable_rosout=False, start_parameter_services=False)
        try:
            yield node
        finally:
            node.destroy_node()
    finally:
        context.try_shutdown()


@contextmanager
def _stop_on_signal() -> Iterator[StopSignal]:
    stop = StopSignal()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # Python delivers signals to the main thread only.
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, stop.request) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _warn(text: str) -> None:
    print(f"{COMMAND}: warning: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
