"""Stands for the `ros2` command where there is only rclpy: runs what the real one would start.

`record` hands out drives that were prepared, if they have the topics that are asked for; `run` and
`launch` start this package's real programs, `launch` by its real launch files. Started by tests.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gfocc_ros.bags.recording import Recording
from tests.ros.launch_stand_in import Action, LaunchFile

ROOT = Path(__file__).parents[2]
READY = re.compile(r"\bready:|^playing ")
"""What the node and the player say when they are up."""
PREPARED = "PREPARED_DRIVES"
"""Environment variable: a folder of bags, each recorded when one of its name is asked for."""


def main(words: list[str]) -> int:
    match words:
        case ["bag", "record", "--storage", "mcap", "--output", output, *topics]:
            return record(Path(output), topics)
        case ["run", "gfocc_ros", program, *arguments]:
            return subprocess.run(
                [sys.executable, "-m", f"gfocc_ros.{program}", *arguments]
            ).returncode
        case ["launch", "gfocc_ros", name, *arguments]:
            return launch(name, dict(argument.split(":=", 1) for argument in arguments))
    print(f"the stand-in for ros2 does not know: {' '.join(words)}", file=sys.stderr)
    return 2


def record(output: Path, topics: list[str]) -> int:
    prepared = Path(os.environ[PREPARED]) / output.name
    with Recording(prepared) as bag:
        sent = {topic.name for topic in bag.topics()}
    silent = set(topics) - sent
    if silent:
        print(f"nothing is sent on {sorted(silent)}, there is {sorted(sent)}", file=sys.stderr)
        return 1
    shutil.copytree(prepared, output)
    return 0


def launch(name: str, given: dict[str, str]) -> int:
    """Start the launch file's processes, each when the one before is ready; wait for their end."""
    with pytest.MonkeyPatch.context() as patch:
        file = LaunchFile(ROOT / "launch" / name, patch)
        commands = []
        for action in file.started(**given):
            if action.kind == "Node":
                commands.append(command_of(action, file))
            elif action.kind == "IncludeLaunchDescription":
                included = dict(action["launch_arguments"])
                inner = LaunchFile(Path(action.arguments[0]), patch)
                inner.module["has_rosbag2"] = lambda: False
                commands += [command_of(node, inner) for node in inner.started(**included)]
    processes = [start(command) for command in commands]
    return max((process.wait() for process in processes), key=abs)


def start(command: list[str]) -> subprocess.Popen[str]:
    """Start a process and pass on its log; returns when it says that it is ready, or plays."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
    )
    ready = threading.Event()

    def pass_on() -> None:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            if READY.search(line):
                ready.set()
        ready.set()

    threading.Thread(target=pass_on, daemon=True).start()
    ready.wait()
    return process


def command_of(node: Action, file: LaunchFile) -> list[str]:
    """What launch_ros would run for a Node."""
    command = [sys.executable, "-m", f"gfocc_ros.{node['executable']}"]
    command += node.keywords.get("arguments", [])
    command += ["--ros-args"]
    for parameters in node.keywords.get("parameters", []):
        if isinstance(parameters, dict):
            for key, value in parameters.items():
                text = str(value).lower() if isinstance(value, bool) else str(value)
                command += ["-p", f"{key}:={text}"]
        else:
            command += ["--params-file", file.value_of(parameters)]
    return command


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
