"""The commands that look at a store of labels and check it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gfocc_core.data.label_store import LabelStore
from gfocc_core.labelling.cli import main
from tests.core.label_commands import SCRIPT, LabelledDataset, objects
from tests.core.weak_label_fixture import random_labels


@pytest.fixture
def dataset(tmp_path: Path) -> LabelledDataset:
    return LabelledDataset(tmp_path)


def test_inspection_counts_what_is_there(
    dataset: LabelledDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dataset.depth("d") == 0
    source = dataset.store("d")
    store = LabelStore.create(dataset.root / "x", source.header)
    labels = random_labels(source.header, 3)
    labels.semantics[:] = 0
    labels.depth[:] = 0
    labels.depth[:, :8] = 5
    labels.depth[0, 8:] = 50
    store.write("a", labels)
    capsys.readouterr()
    picture = dataset.root / "p.png"
    command = ["inspect", str(store.path), "--json", "--picture", str(picture)]
    assert main(command, script=SCRIPT) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["keyframes"] == 1
    assert record["class_share"]["others"] == 1
    assert list(record["depth_share"].values()) == [1, *[0.5] * 5]
    assert record["depth_quantiles"]["0.5"] == pytest.approx(5, rel=0.01)
    assert record["depth_quantiles"]["0.99"] == pytest.approx(50, rel=0.01)
    assert record["bytes_per_keyframe"] == (store.path / "a.labels").stat().st_size
    drawn = np.asarray(Image.open(picture))
    assert drawn.shape[1] == 3 * 32 + 8
    assert not drawn[20 + 16 - 4 : 20 + 16, 2 * 36 : 2 * 36 + 32].any()  # no depth: black


def test_a_picture_shows_images_under_their_labels(
    dataset: LabelledDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dataset.semantics("s") == 0
    folders = ["--dataroot", str(dataset.dataroot), "--index", str(dataset.root / "index")]
    picture = dataset.root / "p.png"
    inspect = ["inspect", str(dataset.root / "s"), *folders, "--picture", str(picture)]
    assert main(inspect, script=SCRIPT) == 0
    assert "driveable_surface" in capsys.readouterr().out
    image, mixed = (np.asarray(Image.open(picture))[:16, x : x + 32] for x in (0, 36))
    assert image.std() > 10
    assert (image != mixed).any()
    assert main([*inspect, "--token", "nobody"], script=SCRIPT) == 2
    assert "knows no keyframe 'nobody'" in capsys.readouterr().err


def test_verification_finds_damage_and_repair_lets_it_be_made_anew(
    dataset: LabelledDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dataset.depth("d") == 0
    store = dataset.store("d")
    before = objects(store)
    verify = ["verify", str(store.path)]
    assert main(verify, script=SCRIPT) == 0
    file = store.path / f"{dataset.index.tokens[2]}.labels"
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    abandoned, recent = (store.path / f".a.labels.{n}.partial" for n in (1, 2))
    for partial in (abandoned, recent):
        partial.write_bytes(b"half")
    os.utime(abandoned, (0, 0))
    capsys.readouterr()
    assert main(verify, script=SCRIPT) == 1
    said = capsys.readouterr()
    assert str(file) in said.err
    assert "6 keyframes, 1 damaged; 1 unfinished" in said.out
    assert main([*verify, "--repair"], script=SCRIPT) == 0
    assert not file.exists()
    assert not abandoned.exists()
    assert recent.exists()
    assert dataset.depth("d") == 0
    assert objects(store) == before
