"""Missing, foreign and damaged files of a training item: what is left out, what is an error."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gfocc_core.data.frames import NUSCENES_CAMERAS
from gfocc_core.data.index import SceneIndex
from gfocc_core.data.label_store import LabelStore
from gfocc_core.data.nuscenes_index import build_index
from gfocc_core.data.scenes import DatasetError
from gfocc_core.data.training_loader import training_loader
from gfocc_core.data.weak_labels import LabelStoreError, StoreHeader
from tests.core.training_recording import Recording
from tests.core.weak_label_fixture import SIZES, VOCABULARY, make_header, random_labels


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """To be read; tests that damage one make their own."""
    return Recording(tmp_path_factory.mktemp("recording"))


@pytest.fixture
def damaged(tmp_path: Path) -> Recording:
    return Recording(tmp_path, keyframes=3)


def test_keyframes_without_labels_train_without_them(
    damaged: Recording, caplog: pytest.LogCaptureFixture
) -> None:
    missing = damaged.index.tokens[1]
    (damaged.labels.path / f"{missing}.labels").unlink()
    with caplog.at_level(logging.WARNING):
        dataset = damaged.dataset(renders=3)
        items = [dataset[number] for number in range(len(dataset))]
    assert dataset.missing_labels == (missing,)
    (record,) = caplog.records
    assert record.getMessage().startswith("1 of 6 keyframes have no weak labels")
    assert missing in record.getMessage()
    for item in items[:3]:
        position = damaged.index.position_of(item["token"])
        for row, step in enumerate(item["steps"].tolist()):
            has = position + step != 1
            assert bool(item["label_valid"][row]) is has
            assert bool(item["label_semantics"][row].any()) is has
            assert bool(item["label_depth"][row].any()) is has
    assert items[3]["label_valid"].all()


def test_no_labels_at_all_is_an_error(damaged: Recording) -> None:
    for file in damaged.labels.path.glob("*.labels"):
        file.unlink()
    with pytest.raises(DatasetError, match="none of the 6 keyframes has weak labels"):
        damaged.dataset()


def other_store(recording: Recording, folder: Path, header: StoreHeader) -> LabelStore:
    store = LabelStore.create(folder, header)
    store.write(recording.index.tokens[0], random_labels(header))
    return store


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (
            make_header(vocabulary=(*VOCABULARY[:4], "kart", *VOCABULARY[5:])),
            "id 4 is 'kart'.*'car'",
        ),
        (make_header(vocabulary=VOCABULARY[:9]), "vocabulary has 9 names, expected 17"),
        (
            make_header(sizes={**SIZES, "CAM_TOP": (36, 64)}),
            "camera CAM_TOP, which the dataset lacks",
        ),
        (
            make_header(sizes={**SIZES, "CAM_FRONT": (72, 128)}),
            "CAM_FRONT are for images of 128x72, scene 'scene-0001' has 64x36",
        ),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    recording: Recording, tmp_path: Path, header: StoreHeader, said: str
) -> None:
    store = other_store(recording, tmp_path / "other", header)
    with pytest.raises(LabelStoreError, match=said):
        recording.dataset(labels=store)


def test_labels_of_some_cameras_choose_them(recording: Recording, tmp_path: Path) -> None:
    names = ("CAM_BACK", "CAM_FRONT")
    header = make_header(sizes={name: SIZES[name] for name in names})
    item = recording.dataset(labels=other_store(recording, tmp_path / "two", header))[0]
    everything = recording.dataset()[0]
    columns = [NUSCENES_CAMERAS.index(name) for name in names]
    assert torch.equal(item["ego_from_cam"], everything["ego_from_cam"][:, columns])
    assert torch.equal(item["intrinsics"], everything["intrinsics"][:, columns])
    assert item["images"].shape[1] == item["label_depth"].shape[1] == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scenes": []}, "scenes is empty"),
        ({"scenes": ["scene-9"]}, "scene 'scene-9' is not in the index"),
        ({"renders": 0}, "renders >= 1, got 5, 6 and 0"),
        ({"history": -1}, "history and horizon must be >= 0"),
    ],
)
def test_impossible_arguments_are_named(
    recording: Recording, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(DatasetError, match=said):
        recording.dataset(**changes)


@pytest.mark.parametrize(
    ("damage", "said", "workers"),
    [
        (lambda path: path.unlink(), "cannot be read: No such file", 0),
        (lambda path: path.write_bytes(b""), "is corrupt", 0),
        (lambda path: path.write_bytes(path.read_bytes()[:-200]), "is corrupt", 1),
    ],
    ids=["missing", "empty", "truncated"],
)
def test_a_damaged_image_is_named(
    damaged: Recording, damage: Callable[[Path], object], said: str, workers: int
) -> None:
    path = Path(str(damaged.index.image_file(1, 3)))
    damage(path)
    loader = training_loader(damaged.dataset(), batch_size=1, workers=workers, sampler=[0, 2])
    batches = iter(loader)
    next(batches)  # the keyframe before does not need it
    with pytest.raises(DatasetError, match=said) as caught:
        next(batches)
    assert str(path) in str(caught.value)


def test_an_image_of_another_size_is_named(damaged: Recording) -> None:
    path = Path(str(damaged.index.image_file(0, 2)))
    index = damaged.index
    index.image_sizes[:, :] = 72, 128
    header = replace(make_header(), geometry=make_header(dict.fromkeys(SIZES, (72, 128))).geometry)
    store = other_store(damaged, damaged.files.root / "other", header)
    with pytest.raises(DatasetError, match="is 64x36, but the index says 128x72") as caught:
        damaged.dataset(labels=store)[0]
    assert "CAM_" in str(caught.value)
    assert path.is_file()


def test_a_damaged_label_file_is_named(damaged: Recording) -> None:
    file = damaged.labels.path / f"{damaged.index.tokens[0]}.labels"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(LabelStoreError, match=str(file)):
        damaged.dataset()[0]


def test_a_missing_camera_is_black_and_not_valid(damaged: Recording) -> None:
    back = NUSCENES_CAMERAS.index("CAM_BACK")
    meta, arrays = build_index(damaged.files.root, damaged.files.version)
    arrays.camera_files[1, back] = b""
    arrays.camera_sizes[1, back] = 0
    index = SceneIndex(damaged.files.root, meta, arrays)
    item = damaged.dataset(index=index, history=1)[2]
    expected = torch.ones(2, 6, dtype=torch.bool)
    expected[0, back] = False
    assert torch.equal(item["camera_valid"], expected)
    assert not item["images"][0, back].any()
    assert item["images"][1, back].any()
