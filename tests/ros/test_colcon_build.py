"""`colcon build` in a workspace: what a robot team installs is whole and runs without the checkout."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = "gfocc_ros"
SHARED_FOLDERS = ("launch", "config", "rviz", "foxglove", "assets")
SOURCES = (
    *("gfocc_core", "gfocc_ros", "packaging", "resource", *SHARED_FOLDERS),
    *("setup.py", "setup.cfg", "pyproject.toml", "package.xml", "README.md"),
)
BUILD_TIMEOUT_S = 300
READY_TIMEOUT_S = 120
PATHS = ("PYTHONPATH", "AMENT_PREFIX_PATH", "COLCON_PREFIX_PATH", "CMAKE_PREFIX_PATH")


def colcon() -> str | None:
    beside_python = Path(sys.executable).with_name("colcon")
    return str(beside_python) if beside_python.is_file() else shutil.which("colcon")


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(colcon() is None, reason="colcon is not installed"),
]


@dataclass(frozen=True)
class Workspace:
    """A built workspace."""

    root: Path
    prefix: Path
    """Where the package is installed."""

    @property
    def share(self) -> Path:
        return self.prefix / "share" / PACKAGE

    def command(self, *words: str) -> list[str]:
        """A command in the workspace's environment."""
        source = f'. "{self.root}/install/setup.bash" && exec "$@"'
        return ["bash", "-c", source, "bash", *words]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            cwd=self.root,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=BUILD_TIMEOUT_S,
            check=False,
        )


def environment() -> dict[str, str]:
    """That of a shell that knows nothing of the checkout."""
    return {name: value for name, value in os.environ.items() if name not in PATHS}


@pytest.fixture(
    scope="module", params=[(), ("--symlink-install",)], ids=["copied", "symlink-install"]
)
def workspace(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Workspace:
    root = tmp_path_factory.mktemp("workspace")
    source = root / "src" / "gfocc"
    source.mkdir(parents=True)
    for name in SOURCES:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, source / name, ignore=ignored)
        else:
            shutil.copy2(ROOT / name, source / name)
    command = colcon()
    assert command is not None
    built = subprocess.run(
        [command, "build", "--event-handlers", "console_direct+", *request.param],
        cwd=root,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT_S,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    assert "1 package finished" in built.stdout, "packaging/tf2_msgs is no part of the workspace"
    return Workspace(root, root / "install" / PACKAGE)


@pytest.mark.parametrize("folder", SHARED_FOLDERS)
def test_every_shared_file_is_installed(workspace: Workspace, folder: str) -> None:
    files = [path for path in (ROOT / folder).iterdir() if path.is_file()]
    assert files
    for path in files:
        assert (workspace.share / folder / path.name).read_bytes() == path.read_bytes(), path.name


def test_ament_finds_the_package(workspace: Workspace) -> None:
    assert (workspace.share / "package.xml").is_file()
    index = workspace.prefix / "share" / "ament_index" / "resource_index" / "packages"
    assert (index / PACKAGE).is_file()
    code = (
        "from ament_index_python.packages import get_package_share_directory as share; "
        "import gfocc_core, gfocc_ros; "
        f"print(share('{PACKAGE}'), gfocc_core.__file__, gfocc_ros.__file__, sep='\\n')"
    )
    found = workspace.run(sys.executable, "-c", code)
    assert found.returncode == 0, found.stderr
    share, *modules = found.stdout.splitlines()
    assert Path(share) == workspace.share
    for module in modules:
        assert Path(module).is_relative_to(workspace.root), "the checkout is not used"


def test_ros2_run_finds_every_command_and_each_tells_its_use(workspace: Workspace) -> None:
    folder = workspace.prefix / "lib" / PACKAGE
    wanted = {path.name for path in (ROOT / "packaging" / "executables").iterdir()}
    found = {path.name for path in folder.iterdir() if os.access(path, os.X_OK)}
    assert wanted | {"gfocc_demo"} <= found
    for name in sorted(found - {"occupancy_node"}):
        told = workspace.run(str(folder / name), "--help")
        assert told.returncode == 0, told.stderr
        assert told.stdout.startswith("usage: "), name


@pytest.fixture
def node(workspace: Workspace, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The installed node with the installed parameter file and weights, and its log."""
    checkpoint = workspace.share / "assets" / "tiny_synthetic.safetensors"
    words = workspace.command(
        str(workspace.prefix / "lib" / PACKAGE / "occupancy_node"),
        *("--ros-args", "--params-file", str(workspace.share / "config" / "occupancy.yaml")),
        *("-p", f"checkpoint:={checkpoint}"),
    )
    log = tmp_path / "node.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            words, cwd=tmp_path, env=environment(), stdout=stream, stderr=subprocess.STDOUT
        )
        try:
            yield process, log
        finally:
            process.kill()
            process.wait()


@pytest.mark.ros
def test_installed_node_becomes_ready_and_ends(
    node: tuple[subprocess.Popen[bytes], Path],
) -> None:
    process, log = node
    deadline = time.monotonic() + READY_TIMEOUT_S
    while "ready: 6 cameras" not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    assert "RANDOM WEIGHTS" not in log.read_text()
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
