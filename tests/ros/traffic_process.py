"""Cameras of a vehicle, and its tf, in a process of their own: started by tests, not collected.

They run in real time until stdin ends. The moments at which cameras fire lie on a grid that all
such processes share, so that one that is started again is in step with the others. Commands come
as lines on stdin, faults are of one camera and last until `heal`:

    corrupt CAMERA     half a JPEG, or a raw image that holds less than it says
    encoding CAMERA    no picture at all, or a raw image of an encoding that does not exist
    info CAMERA        a CameraInfo of another size than the images
    resize CAMERA      images and CameraInfo of twice the size: a change that is no fault
    heal               no camera has a fault, and none is resized
    tf off | tf on     the vehicle's pose
    jump SECONDS       the vehicle's time, /clock with it, goes on from elsewhere (negative: back)
"""

from __future__ import annotations

import argparse
import queue
import sys
import threading
import time
from dataclasses import dataclass, field

import rclpy
from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from gfocc_ros.compat import tf
from gfocc_ros.messages import stamp_from_nanoseconds
from tests.ros.camera_messages import HEIGHT, WIDTH, camera_info, compressed_image, jpeg, raw_image
from tests.ros.camera_world import OFFSETS

SECOND = 1_000_000_000
TF_PERIOD_NS = SECOND // 50
CLOCK_PERIOD_NS = SECOND // 100
TICK_S = 0.002
SPEED = 5.0
BIG = (2 * WIDTH, 2 * HEIGHT)
OWN_TF = ("-r", "/tf:=tf", "-r", "/tf_static:=tf_static")
"""Of several vehicles each has the tf of its own namespace."""


@dataclass
class _Faults:
    by_camera: dict[str, str] = field(default_factory=dict)
    tf_is_off: bool = False


class Traffic:
    """Publishes what is due whenever `step` is called."""

    def __init__(self, node: Node, given: argparse.Namespace) -> None:
        self._period_ns = round(SECOND / given.rate)
        self._raw = given.raw
        self._faults = _Faults()
        self._shift_ns, self._start_ns = 0, time.time_ns()
        kind, suffix = (Image, "") if given.raw else (CompressedImage, "/compressed")
        qos = QoSProfile(depth=5)
        self._images = {
            c: node.create_publisher(kind, f"{c}/image_rect{suffix}", qos) for c in given.cameras
        }
        self._infos = {
            c: node.create_publisher(CameraInfo, f"{c}/camera_info", qos) for c in given.cameras
        }
        self._clock = node.create_publisher(Clock, "/clock", qos) if given.clock else None
        self._tf = tf.TransformBroadcaster(node) if given.tf else None
        if given.tf:
            self._mounts = tf.StaticTransformBroadcaster(node)
            self._mounts.sendTransform([_mount(camera) for camera in OFFSETS])
        self._due_ns: dict[str, int] = {}
        self._tf_due_ns = self._clock_due_ns = 0
        self._jpegs = {False: jpeg(), True: jpeg(*BIG)}
        self._restart()

    def command(self, line: str) -> None:
        match line.split():
            case ["tf", switch]:
                self._faults.tf_is_off = switch == "off"
            case ["heal"]:
                self._faults.by_camera.clear()
            case ["jump", seconds]:
                self._shift_ns += round(float(seconds) * SECOND)
                self._restart()
            case [("corrupt" | "encoding" | "info" | "resize") as fault, camera]:
                self._faults.by_camera[camera] = fault
            case _:
                raise ValueError(f"unknown command '{line}'")

    def step(self) -> None:
        now_ns = self._now_ns()
        if self._clock is not None and now_ns >= self._clock_due_ns:
            self._clock.publish(Clock(clock=stamp_from_nanoseconds(now_ns)))
            self._clock_due_ns = now_ns + CLOCK_PERIOD_NS
        if self._tf is not None and now_ns >= self._tf_due_ns:
            if not self._faults.tf_is_off:
                self._tf.sendTransform(_vehicle(now_ns, now_ns - self._start_ns))
            self._tf_due_ns = now_ns + TF_PERIOD_NS
        for camera, due_ns in self._due_ns.items():
            if now_ns >= due_ns:
                self._fire(camera, due_ns)
                late = (now_ns - due_ns) // self._period_ns  # of a process that was held up
                self._due_ns[camera] = due_ns + (1 + late) * self._period_ns

    def _restart(self) -> None:
        now_ns = self._now_ns()
        first_ns = (now_ns // self._period_ns + 1) * self._period_ns
        self._due_ns = {camera: first_ns + OFFSETS[camera] for camera in self._images}
        self._tf_due_ns = self._clock_due_ns = now_ns

    def _now_ns(self) -> int:
        return time.time_ns() + self._shift_ns

    def _fire(self, camera: str, stamp_ns: int) -> None:
        fault = self._faults.by_camera.get(camera, "")
        resized = fault == "resize"
        size = BIG if resized or fault == "info" else (WIDTH, HEIGHT)
        self._infos[camera].publish(camera_info(camera, stamp_ns, size=size))
        image: Image | CompressedImage
        if self._raw:
            image = raw_image(camera, stamp_ns)
            if fault == "corrupt":
                image.data = image.data[: len(image.data) // 2]
            if fault == "encoding":
                image.encoding = "rgb9"
        else:
            data = self._jpegs[resized]
            damaged = {"corrupt": data[: len(data) // 2], "encoding": b"P3 no picture at all"}
            image = compressed_image(camera, stamp_ns, damaged.get(fault, data))
        self._images[camera].publish(image)


def _mount(camera: str) -> TransformStamped:
    """Looks ahead: optical z along the vehicle's x."""
    link = TransformStamped(child_frame_id=f"{camera}_optical_frame")
    link.header.frame_id = "base_link"
    link.transform.translation.z = 1.5
    turn = link.transform.rotation
    turn.x, turn.y, turn.z, turn.w = -0.5, 0.5, -0.5, 0.5
    return link


def _vehicle(stamp_ns: int, driven_ns: int) -> TransformStamped:
    pose = TransformStamped(child_frame_id="base_link")
    pose.header.frame_id = "odom"
    pose.header.stamp = stamp_from_nanoseconds(stamp_ns)
    pose.transform.translation.x = SPEED * driven_ns * 1e-9
    return pose


def _read_commands(lines: queue.Queue[str | None]) -> None:
    for line in sys.stdin:
        lines.put(line)
    lines.put(None)


def main() -> None:
    parser = argparse.ArgumentParser(description="cameras and tf in real time")
    parser.add_argument("--namespace", default="/")
    parser.add_argument("--cameras", nargs="*", default=list(OFFSETS), choices=list(OFFSETS))
    parser.add_argument("--rate", type=float, default=4.0, help="Hz")
    parser.add_argument("--raw", action="store_true", help="raw images")
    parser.add_argument("--tf", action="store_true", help="also tf")
    parser.add_argument("--clock", action="store_true", help="also /clock")
    given = parser.parse_args()
    rclpy.init()
    node = Node("traffic", namespace=given.namespace, cli_args=["--ros-args", *OWN_TF])
    traffic = Traffic(node, given)
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_read_commands, args=(lines,), daemon=True).start()
    print("ready", flush=True)
    while True:
        while not lines.empty():
            line = lines.get()
            if line is None:
                return
            traffic.command(line)
        traffic.step()
        time.sleep(TICK_S)


if __name__ == "__main__":
    main()
