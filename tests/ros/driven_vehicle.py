"""A node that answers a vehicle whose cameras, tf and clock are processes: for rough runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from gfocc_ros.frames.drops import Drop
from tests.ros.child_process import ChildProcess
from tests.ros.node_process import NodeProcess
from tests.ros.outputs_ear import Ear
from tests.ros.traffic_process import OWN_TF

RATE_HZ = 5.0
FRONT = ("cam_front_left", "cam_front", "cam_front_right")
BACK = ("cam_back_left", "cam_back", "cam_back_right")
LAST_CAMERAS = "cameras of the last frame"
"""In /diagnostics."""


@dataclass
class Vehicle:
    """Cameras in two processes, of which `front` also sends tf and /clock, the node and its ear."""

    folder: Path
    namespace: str
    node: NodeProcess
    ear: Ear
    front: ChildProcess
    back: ChildProcess

    def start_back(self) -> None:
        self.back = traffic(self.folder, self.namespace, "--cameras", *BACK)

    def jump(self, seconds: float) -> None:
        """Set the clock of the vehicle."""
        self.ear.shift_ns += round(seconds * 1e9)
        self.front.tell(f"jump {seconds}")
        self.back.tell(f"jump {seconds}")

    def wait_for_drop(self, drop: Drop, before: Mapping[str, int]) -> None:
        self.ear.wait_for_drop(drop.value, before)

    def assert_unharmed(self) -> None:
        """The node lives and answers frames of all cameras without another fault."""
        self.ear.wait_for(lambda: self.ear.values.get(LAST_CAMERAS) == "6", "frames of six cameras")
        self.ear.wait_for_answers()
        assert self.node.process.poll() is None, self.node.log
        assert "Traceback" not in self.node.log


def traffic(folder: Path, namespace: str, *arguments: str) -> ChildProcess:
    """Cameras at RATE_HZ; the arguments are those of `traffic_process`."""
    given = ("--namespace", namespace, "--rate", str(RATE_HZ), *arguments)
    return ChildProcess(folder, "traffic_process", *given)


@contextmanager
def driving(
    folder: Path,
    checkpoint: Path,
    namespace: str,
    *arguments: str,
    raw: bool = False,
    clock: bool = False,
) -> Iterator[Vehicle]:
    """A node that answers a vehicle; `arguments` are the node's."""
    kind = ["--raw"] if raw else []
    with_clock = ["--clock"] if clock else []
    given = ["-r", f"__ns:={namespace}", *OWN_TF, "-p", f"checkpoint:={checkpoint}", *arguments]
    node = NodeProcess(folder, *given)
    with ExitStack() as stack:
        stack.callback(node.kill)
        ear = stack.enter_context(Ear(namespace))
        front = traffic(folder, namespace, "--tf", "--cameras", *FRONT, *kind, *with_clock)
        stack.callback(front.kill)
        back = traffic(folder, namespace, "--cameras", *BACK, *kind)
        vehicle = Vehicle(folder, namespace, node, ear, front, back)
        stack.callback(lambda: vehicle.back.kill())
        node.wait_for_log("ready:", timeout_s=60)
        vehicle.assert_unharmed()
        yield vehicle
        counters = ", ".join(f"{reason} {count}" for reason, count in sorted(ear.drops.items()))
        print(f"\n{namespace}: {len(ear.clouds)} clouds; dropped: {counters or 'nothing'}")
