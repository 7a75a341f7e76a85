"""Memory that reads share: never between threads, never too short, never stale."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

from gfocc_core.config import ImageConfig
from gfocc_core.data.label_codec import decode_labels, encode_labels
from gfocc_core.data.label_store import LabelStore
from gfocc_core.data.scratch import Scratch
from gfocc_core.data.weak_labels import LabelGeometry, LabelStoreError, StoreHeader, WeakLabels
from tests.core.weak_label_fixture import SIZES, make_header, random_labels


def test_an_array_is_kept_while_its_shape_and_type_stay() -> None:
    scratch = Scratch()
    first = scratch.array("a", (2, 3))
    assert scratch.array("a", (2, 3)) is first
    assert scratch.array("b", (2, 3)) is not first
    wider = scratch.array("a", (2, 4))
    assert wider.shape == (2, 4)
    assert scratch.array("a", (2, 4), np.float32).dtype == np.float32


def test_files_are_read_whole_however_long_the_last_one_was(tmp_path: Path) -> None:
    scratch = Scratch()
    for number, size in enumerate((10, 5000, 0, 4999, 100_000, 1)):
        content = bytes([number]) * size
        path = tmp_path / str(number)
        path.write_bytes(content)
        assert bytes(scratch.read_file(path)) == content
    with pytest.raises(FileNotFoundError):
        scratch.read_file(tmp_path / "nowhere")


def other_geometry() -> StoreHeader:
    geometry = LabelGeometry.covering(
        dict(list(SIZES.items())[:2]), ImageConfig(height=8, width=48)
    )
    return replace(make_header(), geometry=geometry)


def test_stores_of_other_rasters_may_be_read_in_turns(tmp_path: Path) -> None:
    stores = [
        LabelStore.create(tmp_path / str(number), header)
        for number, header in enumerate((make_header(), other_geometry()))
    ]
    wanted = {}
    for seed in range(3):
        for store in stores:
            labels = random_labels(store.header, seed)
            store.write(f"k{seed}", labels)
            wanted[store.path, seed] = labels
    for (path, seed), labels in wanted.items():
        found = LabelStore.open(path).read(f"k{seed}")
        np.testing.assert_array_equal(found.semantics, labels.semantics)
        np.testing.assert_allclose(found.depth, labels.depth, rtol=0.005)


def test_what_was_read_stays_when_another_is_read(tmp_path: Path) -> None:
    store = LabelStore.create(tmp_path / "labels", make_header())
    for seed in range(2):
        store.write(f"k{seed}", random_labels(store.header, seed))
    first = store.read("k0")
    semantics, depth = first.semantics.copy(), first.depth.copy()
    store.read("k1")
    np.testing.assert_array_equal(first.semantics, semantics)
    np.testing.assert_array_equal(first.depth, depth)


def test_threads_read_at_once_without_meeting(tmp_path: Path) -> None:
    store = LabelStore.create(tmp_path / "labels", make_header())
    for seed in range(4):
        store.write(f"k{seed}", random_labels(store.header, seed))
    alone = {token: store.read(token) for token in store.tokens()}
    together = Barrier(4)

    def read(seed: int) -> int:
        together.wait()
        wrong = 0
        for turn in range(100):
            token = f"k{(seed + turn) % 4}"
            found = store.read(token)
            same = (found.semantics == alone[token].semantics).all()
            wrong += not (same and (found.depth == alone[token].depth).all())
        return wrong

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(read, range(4))) == 0


def test_a_plane_of_another_size_is_refused() -> None:
    header, smaller = make_header(), other_geometry()
    for given, claimed, said in (
        (header, smaller, "a plane of more than 768 bytes, not 768"),
        (smaller, header, "a plane of 768 bytes, not 3072"),
    ):
        liar = replace(given)
        liar.__dict__["digest"] = claimed.digest  # or the object would be refused for this alone
        data = encode_labels(random_labels(liar), "k", liar)
        with pytest.raises(LabelStoreError, match=said):
            decode_labels(data, "k", claimed, WeakLabels.empty(claimed.geometry))
