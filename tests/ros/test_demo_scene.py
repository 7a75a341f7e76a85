"""The demo makes its scene once, and never removes what is not its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from gfocc_ros.demo import scene as demo_scene
from gfocc_ros.demo.error import DemoError
from gfocc_ros.demo.scene import SceneOrder, generated_scene, given_scene
from gfocc_ros.demo.scores import read_prior, score_fields


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Stands in for the generator: notes its command line and leaves a file."""
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        commands.append(command)
        root = Path(command[command.index("--out") + 1])
        root.mkdir(exist_ok=True)
        (root / f"made_{len(commands)}").touch()
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(demo_scene.subprocess, "run", run)
    return commands


def test_the_order_reaches_the_generator(generator: list[list[str]], tmp_path: Path) -> None:
    scene = generated_scene(tmp_path / "out", SceneOrder(frames=6, seed=3))
    assert scene.dataroot == tmp_path / "out" / "dataset"
    assert scene.is_synthetic
    assert {"--frames=6", "--seed=3", "--val_scenes=1"} <= set(generator[0])


def test_the_same_order_keeps_the_files_another_one_starts_anew(
    generator: list[list[str]], tmp_path: Path
) -> None:
    for _ in range(2):
        scene = generated_scene(tmp_path, SceneOrder(6, 3))
    assert sorted(path.name for path in scene.dataroot.iterdir()) == ["made_1", "made_2"]
    generated_scene(tmp_path, SceneOrder(6, 4))
    assert [path.name for path in scene.dataroot.iterdir()] == ["made_3"]


def test_a_foreign_dataset_is_never_removed(generator: list[list[str]], tmp_path: Path) -> None:
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "precious").touch()
    for seed in (1, 2):
        generated_scene(tmp_path, SceneOrder(6, seed))
    assert (tmp_path / "dataset" / "precious").exists()


def test_a_failing_generator_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    failed = subprocess.CompletedProcess([], 2)
    monkeypatch.setattr(demo_scene.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(DemoError, match="the scene generator ended with exit code 2"):
        generated_scene(tmp_path, SceneOrder(6, 3))


@pytest.mark.parametrize(("frames", "seed", "name"), [(0, 1, "--frames"), (1, -1, "--seed")])
def test_impossible_orders_are_named(frames: int, seed: int, name: str) -> None:
    with pytest.raises(DemoError, match=name):
        SceneOrder(frames, seed)


def test_a_given_dataset_needs_its_version_where_there_are_two(tmp_path: Path) -> None:
    for version in ("v1.0-a", "v1.0-b"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "scene.json").touch()
    with pytest.raises(DemoError, match=r"found v1.0-a, v1.0-b: name VERSION"):
        given_scene(tmp_path, None, None)
    assert given_scene(tmp_path, "v1.0-b", "x").version == "v1.0-b"


def test_the_prior_is_read_or_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "prior.npz"
    labels = np.full((200, 200, 16), 17, np.uint8)
    labels[3, 4, 5] = 11
    np.savez_compressed(path, labels=labels)
    assert read_prior(path)[3, 4, 5] == 11
    np.savez_compressed(path, labels=labels[:2])
    with pytest.raises(DemoError, match=r"must be \[200, 200, 16\], got \[2, 200, 16\]"):
        read_prior(path)
    np.savez_compressed(path, labels=labels + 10)
    with pytest.raises(DemoError, match="must hold ids 0 to 17"):
        read_prior(path)
    np.savez_compressed(path, other=labels)
    with pytest.raises(DemoError, match="cannot be read"):
        read_prior(path)


def test_what_was_not_scored_is_null() -> None:
    assert score_fields(None, "prior_") == {
        "prior_miou": None,
        "prior_iou": None,
        "prior_rayiou": None,
    }
