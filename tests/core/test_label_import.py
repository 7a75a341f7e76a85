"""Labels of others are brought into a store by the import command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gfocc_core.labelling.cli import main
from tests.core.label_commands import SCRIPT, LabelledDataset


@pytest.fixture
def dataset(tmp_path: Path) -> LabelledDataset:
    return LabelledDataset(tmp_path)


def test_picture_folders_are_imported(
    dataset: LabelledDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(0)
    ids = random.integers(0, 17, (6, 36, 64), dtype=np.uint8)
    millimetres = random.integers(0, 60_000, (6, 36, 64)).astype(np.uint16)
    token = dataset.index.tokens[3]
    for kind, arrays in (("s", ids), ("d", millimetres)):
        for camera, array in zip(dataset.index.cameras, arrays, strict=True):
            path = dataset.root / kind / token / f"{camera}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(path)
    (dataset.root / "s" / "stranger").mkdir()
    (dataset.root / "d" / "stranger").mkdir()
    for kind in "sd":
        Image.fromarray(ids[0]).save(
            dataset.root / kind / "stranger" / f"{dataset.index.cameras[0]}.png"
        )
    pattern = "{token}/{camera}.png"
    arguments = ["--semantics", str(dataset.root / "s"), "--semantics-pattern", pattern]
    arguments += ["--depth", str(dataset.root / "d"), "--depth-pattern", pattern]
    arguments += ["--raster", "16x32"]
    assert main(["import", *dataset.arguments("store", *arguments)], script=SCRIPT) == 0
    assert "1 keyframes are not in the index and stay out" in capsys.readouterr().err
    store = dataset.store("store")
    labels = store.read(token)
    for number, camera in enumerate(store.header.geometry.cameras):
        y = int((7 + 0.5 + camera.top) / camera.scale)
        x = int((20 + 0.5 + camera.left) / camera.scale)
        assert labels.semantics[number, 7, 20] == ids[number, y, x]
        expected = max(millimetres[number, y, x] / 1000, 0.1)
        assert labels.depth[number, 7, 20] == pytest.approx(expected, rel=0.005)
    assert store.header.models == {"semantics": "imported from s", "depth": "imported from d"}


def test_a_damaged_source_file_is_left_out_and_listed(
    dataset: LabelledDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = dataset.root / "s"
    folder.mkdir()
    for token in dataset.index.tokens[:2]:
        np.save(folder / f"{token}.npy", np.ones((6, 36, 64), np.uint8))
    damaged = folder / f"{dataset.index.tokens[0]}.npy"
    damaged.write_bytes(damaged.read_bytes()[:500])
    arguments = dataset.arguments("store", "--semantics", str(folder), "--raster", "16x32")
    assert main(["import", *arguments], script=SCRIPT) == 1
    said = capsys.readouterr()
    assert str(damaged) in said.err
    assert "1 keyframes written" in said.out
    assert dataset.store("store").header.models.keys() == {"semantics"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give --semantics, --depth or both"),
        (("--semantics", "{root}/nowhere"), "is not a folder"),
        (("--semantics", "{root}/empty"), "there is no keyframe to import"),
        (("--semantics", "{root}/empty", "--semantics-pattern", "{{token}}.png"), "or in .png if"),
        (("--depth", "{root}/made", "--semantics", "{root}/made"), "there is no semantics"),
        (("--depth", "{root}/empty", "--depth-unit", "-1"), "depth_unit must be positive"),
    ],
)
def test_an_unusable_import_is_refused(
    dataset: LabelledDataset,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    said: str,
) -> None:
    (dataset.root / "empty").mkdir()
    assert dataset.depth("made", "--shard", "0/6") == 0
    given = [argument.format(root=dataset.root) for argument in arguments]
    assert main(["import", *dataset.arguments("store", *given)], script=SCRIPT) == 2
    assert said in capsys.readouterr().err
    assert not (dataset.root / "store").exists()
