"""Which scene the demo drives: one of a given dataset, or a short synthetic one made for it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from gfocc_core.atomic_file import write_atomically
from gfocc_core.synthetic import GENERATOR, VERSION
from gfocc_ros.demo.error import DemoError

IMAGE_SIZE = (128, 352)
"""(height, width) of the generated images: what the shipped network takes in."""
_SETTINGS_FILE = "dataset_settings.json"


@dataclass(frozen=True)
class DemoScene:
    """A scene of a dataset in the nuScenes schema."""

    dataroot: Path
    version: str
    scene: str | None
    """None: the dataset's only one."""

    @property
    def is_synthetic(self) -> bool:
        """Whether it comes from the world the shipped network and prior were made in."""
        return self.version == VERSION


@dataclass(frozen=True)
class SceneOrder:
    """What scene to generate."""

    frames: int
    """Keyframes, two a second."""
    seed: int

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise DemoError(f"--frames must be at least 1, got {self.frames}")
        if self.seed < 0:
            raise DemoError(f"--seed must not be negative, got {self.seed}")

    def options(self) -> list[str]:
        """Options of `python -m gfocc_core.synthetic`: one validation scene, no weak labels."""
        height, width = IMAGE_SIZE
        return [
            "--scenes=0",
            "--val_scenes=1",
            f"--frames={self.frames}",
            f"--seed={self.seed}",
            f"--height={height}",
            f"--width={width}",
            "--label_stores=[]",
        ]


def given_scene(dataroot: Path, version: str | None, scene: str | None) -> DemoScene:
    """A scene of a dataset that exists.

    Raises:
        DemoError: no such folder, or no version named where it does not hold exactly one.
    """
    if not dataroot.is_dir():
        raise DemoError(f"dataroot '{dataroot}' is not a folder")
    return DemoScene(dataroot, version or _only_version(dataroot), scene)


def generated_scene(out: Path, order: SceneOrder) -> DemoScene:
    """Generate a scene into `<out>/dataset`, or reuse what an earlier run with the same order left.

    Raises:
        DemoError: the generator failed; it has said why.
    """
    root, record = out / "dataset", out / _SETTINGS_FILE
    settings = json.dumps([*order.options(), f"generator {GENERATOR}"])
    if record.is_file() and record.read_text() != settings:
        shutil.rmtree(root, ignore_errors=True)
        record.unlink()
    if not root.exists():  # What stands there without a record is not ours to remove one day.
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(record, lambda stream: stream.write(settings.encode()))
    command = [sys.executable, "-m", "gfocc_core.synthetic", "--out", str(root)]
    done = subprocess.run([*command, *order.options()], stdout=sys.stderr, check=False)
    if done.returncode != 0:
        raise DemoError(f"the scene generator ended with exit code {done.returncode}")
    return DemoScene(root, VERSION, None)


def _only_version(dataroot: Path) -> str:
    versions = sorted(path.parent.name for path in dataroot.glob("*/scene.json"))
    if len(versions) != 1:
        found = ", ".join(versions) or "none"
        raise DemoError(f"dataroot '{dataroot}' must hold one version, found {found}: name VERSION")
    return versions[0]
