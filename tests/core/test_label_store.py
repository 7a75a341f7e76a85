"""Weak labels survive the store, and nothing damaged, foreign or half-written is ever read."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gfocc_core.config import ImageConfig
from gfocc_core.data.label_store import LabelStore
from gfocc_core.data.weak_labels import LabelGeometry, LabelStoreError, StoreHeader, WeakLabels
from tests.core.weak_label_fixture import SIZES, VOCABULARY, make_header, random_labels

Array = npt.NDArray[Any]
ROOT = Path(__file__).resolve().parents[2]
TOKEN = "keyframe-0"


@pytest.fixture
def store(tmp_path: Path) -> LabelStore:
    return LabelStore.create(tmp_path / "labels", make_header())


def object_of(store: LabelStore, token: str = TOKEN) -> Path:
    """The one file that was written for a keyframe."""
    (file,) = store.path.glob(f"{token}*")
    return file


def relative_error(found: Array, expected: Array) -> float:
    some = expected > 0
    np.testing.assert_array_equal(found > 0, some)
    exact = expected[some].astype(np.float64)
    return float((np.abs(found[some] - exact) / exact).max(initial=0))


def test_labels_come_back(store: LabelStore) -> None:
    labels = random_labels(store.header)
    store.write(TOKEN, labels)
    found = LabelStore.open(store.path).read(TOKEN)
    np.testing.assert_array_equal(found.semantics, labels.semantics)
    assert found.semantics.dtype == np.uint8
    assert found.depth.dtype == np.float32
    assert relative_error(found.depth, labels.depth) <= 0.005


@settings(max_examples=40, deadline=None)
@given(
    depth=hnp.arrays(
        np.float32,
        (6, 16, 32),
        elements=st.one_of(st.just(0.0), st.floats(0.1015625, 300, width=32)),
    ),
    half=st.booleans(),
)
def test_depth_is_within_half_a_percent(
    tmp_path_factory: pytest.TempPathFactory, depth: Array, half: bool
) -> None:
    store = LabelStore.create(tmp_path_factory.getbasetemp() / "depth", make_header())
    given_depth = depth.astype(np.float16) if half else depth
    store.write(TOKEN, WeakLabels(np.zeros(depth.shape, np.uint8), given_depth))
    assert relative_error(store.read(TOKEN).depth, given_depth) <= 0.005


def test_every_semantic_id_of_a_full_vocabulary_survives(tmp_path: Path) -> None:
    header = make_header(vocabulary=tuple(f"class {number}" for number in range(256)))
    store = LabelStore.create(tmp_path / "labels", header)
    semantics = np.arange(6 * 16 * 32, dtype=np.int64).reshape(6, 16, 32).astype(np.uint8)
    store.write(TOKEN, WeakLabels(semantics, np.zeros(semantics.shape, np.float32)))
    np.testing.assert_array_equal(store.read(TOKEN).semantics, semantics)


def test_labels_can_be_read_into_given_arrays(store: LabelStore) -> None:
    labels = random_labels(store.header)
    store.write(TOKEN, labels)
    out = WeakLabels(np.full((6, 16, 32), 9, np.uint8), np.full((6, 16, 32), -1, np.float32))
    assert store.read(TOKEN, out) is out
    np.testing.assert_array_equal(out.semantics, labels.semantics)
    assert relative_error(out.depth, labels.depth) <= 0.005


def test_arrays_that_cannot_be_filled_are_refused(store: LabelStore) -> None:
    store.write(TOKEN, random_labels(store.header))
    semantics = np.empty((6, 16, 32), np.uint8)
    for depth in (
        np.empty((6, 16, 32), np.float64),
        np.empty((6, 32, 16), np.float32).swapaxes(1, 2),
    ):
        with pytest.raises(LabelStoreError, match="C-contiguous float32"):
            store.read(TOKEN, WeakLabels(semantics, depth))


def test_depth_nearer_than_a_decimetre_becomes_a_decimetre(store: LabelStore) -> None:
    depth = np.full((6, 16, 32), 0.003, np.float32)
    store.write(TOKEN, WeakLabels(np.zeros(depth.shape, np.uint8), depth))
    np.testing.assert_allclose(store.read(TOKEN).depth, 0.1, rtol=1e-6)


def test_a_dense_noisy_keyframe_is_small(tmp_path: Path) -> None:
    geometry = LabelGeometry.covering(dict.fromkeys(SIZES, (900, 1600)), ImageConfig())
    header = replace(make_header(), geometry=geometry)
    random = np.random.default_rng(0)
    rows = np.arange(256, dtype=np.float32)[:, None]
    noise = np.exp(random.normal(0, 0.03, geometry.shape))
    depth = (np.clip(840 / np.maximum(rows - 75, 1), 2, 150) * noise).astype(np.float32)
    semantics = np.broadcast_to(random.integers(1, 17, (6, 1, 704), dtype=np.uint8), geometry.shape)
    store = LabelStore.create(tmp_path / "labels", header)
    store.write(TOKEN, WeakLabels(semantics, depth))
    assert object_of(store).stat().st_size <= 1.3e6
    np.testing.assert_array_equal(store.read(TOKEN).semantics, semantics)


@pytest.mark.keyframe
def test_real_weak_labels_come_back(keyframe_dir: Path, tmp_path: Path) -> None:
    path = keyframe_dir / "weak_labels.npz"
    if not path.is_file():
        pytest.skip(f"the keyframe has no weak labels: {path} does not exist")
    with np.load(path) as archive:
        labels = WeakLabels(archive["semantics"], archive["lidar_depth"])
        cameras = [str(name) for name in archive["cameras"]]
    raster = ImageConfig(height=labels.semantics.shape[1], width=labels.semantics.shape[2])
    geometry = LabelGeometry.covering(dict.fromkeys(cameras, (900, 1600)), raster)
    store = LabelStore.create(tmp_path / "labels", replace(make_header(), geometry=geometry))
    store.write(TOKEN, labels)
    found = store.read(TOKEN)
    np.testing.assert_array_equal(found.semantics, labels.semantics)
    assert relative_error(found.depth, labels.depth) <= 0.005
    assert object_of(store).stat().st_size <= 1.3e6


def with_depth(value: float) -> Callable[[WeakLabels], WeakLabels]:
    def change(labels: WeakLabels) -> WeakLabels:
        depth = labels.depth.copy()
        depth[2, 3, 4] = value
        return WeakLabels(labels.semantics, depth)

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (with_depth(float("nan")), "depth must be finite.*got nan"),
        (with_depth(float("inf")), "depth must be finite.*to inf"),
        (with_depth(-1.0), "depth must be finite.*got -1"),
        (with_depth(1001.0), "0 to 1000 m.*to 1001"),
        (
            lambda x: WeakLabels(x.semantics[:5], x.depth),
            r"semantics must be \[6, 16, 32\], got \[5,",
        ),
        (
            lambda x: WeakLabels(x.semantics, x.depth[:, :8]),
            r"depth must be \[6, 16, 32\], got \[6, 8",
        ),
        (lambda x: WeakLabels(x.semantics + np.uint8(1), x.depth), "ids 0 to 16, got 17"),
        (lambda x: WeakLabels(x.semantics.astype(np.int64), x.depth), "must be uint8, got int64"),
        (lambda x: WeakLabels(x.semantics, x.depth.astype(np.float64)), "float32, got float64"),
    ],
)
def test_impossible_labels_are_refused_and_leave_nothing(
    store: LabelStore, change: Callable[[WeakLabels], WeakLabels], said: str
) -> None:
    with pytest.raises(LabelStoreError, match=said) as caught:
        store.write(TOKEN, change(random_labels(store.header)))
    assert TOKEN in str(caught.value)
    assert not store.has(TOKEN)
    assert [path.name for path in store.path.iterdir()] == ["header.json"]


def test_writing_again_replaces_and_is_idempotent(store: LabelStore) -> None:
    store.write(TOKEN, random_labels(store.header, seed=1))
    store.write(TOKEN, random_labels(store.header, seed=2))
    once = object_of(store).read_bytes()
    store.write(TOKEN, random_labels(store.header, seed=2))
    assert object_of(store).read_bytes() == once
    assert store.tokens() == (TOKEN,)


def test_damage_anywhere_is_noticed(store: LabelStore) -> None:
    store.write(TOKEN, random_labels(store.header))
    file = object_of(store)
    whole = file.read_bytes()
    random = np.random.default_rng(0)
    for position in {0, 5, 13, 20, 30, len(whole) - 1, *random.integers(len(whole), size=60)}:
        changed = bytearray(whole)
        changed[position] ^= 1 << int(random.integers(8))
        file.write_bytes(changed)
        with pytest.raises(LabelStoreError, match=str(file)):
            store.read(TOKEN)


@pytest.mark.parametrize("kept", [0, 3, 30, 200, -1])
def test_a_truncated_file_is_noticed(store: LabelStore, kept: int) -> None:
    store.write(TOKEN, random_labels(store.header))
    file = object_of(store)
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(LabelStoreError, match=rf"'{file}' cannot be used"):
        store.read(TOKEN)


def test_a_missing_file_is_named(store: LabelStore) -> None:
    assert not store.has(TOKEN)
    with pytest.raises(LabelStoreError, match=rf"label file '.*{TOKEN}.*' is missing"):
        store.read(TOKEN)


def test_a_renamed_file_is_noticed(store: LabelStore) -> None:
    store.write(TOKEN, random_labels(store.header))
    file = object_of(store)
    file.rename(file.with_name(file.name.replace(TOKEN, "another")))
    assert store.tokens() == ("another",)
    with pytest.raises(LabelStoreError, match=f"another.*belongs to keyframe '{TOKEN}'"):
        store.read("another")


OTHER_HEADERS: dict[str, StoreHeader] = {
    "vocabulary": make_header(vocabulary=(*VOCABULARY[:-1], "bush")),
    "geometry": make_header(sizes=dict.fromkeys(SIZES, (72, 128))),
    "models": make_header(models={"semantics": "another", "depth": "a depth network"}),
}


@pytest.mark.parametrize("what", OTHER_HEADERS)
def test_a_file_of_another_store_is_noticed(store: LabelStore, tmp_path: Path, what: str) -> None:
    other = LabelStore.create(tmp_path / "other", OTHER_HEADERS[what])
    other.write(TOKEN, random_labels(other.header))
    (store.path / object_of(other).name).write_bytes(object_of(other).read_bytes())
    with pytest.raises(LabelStoreError, match="another geometry, vocabulary"):
        store.read(TOKEN)


@pytest.mark.parametrize("what", OTHER_HEADERS)
def test_a_store_is_not_gone_on_with_under_another_header(store: LabelStore, what: str) -> None:
    with pytest.raises(LabelStoreError, match=f"exists with other {what}"):
        LabelStore.create(store.path, OTHER_HEADERS[what])
    assert LabelStore.open(store.path).header == store.header


def test_a_store_is_gone_on_with_under_its_own_header(store: LabelStore) -> None:
    store.write(TOKEN, random_labels(store.header))
    assert LabelStore.create(store.path, make_header()).tokens() == (TOKEN,)


def edit_header(**changes: Any) -> Callable[[Path], object]:
    def change(path: Path) -> None:
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.unlink(), "no header.json"),
        (lambda path: path.write_text(path.read_text()[:-9]), "cannot be read"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "header.json"),
        (lambda path: path.write_text("[]"), "version is"),
        (edit_header(version=2), "version is 2, this program reads 1"),
        (edit_header(vocabulary=[1, 2]), "cannot be read"),
        (edit_header(surprise=1), "cannot be read"),
        (edit_header(models={"color": "x"}), "semantics, depth, got color"),
    ],
    ids=["missing", "cut", "binary", "list", "version", "type", "unknown", "kind"],
)
def test_a_damaged_header_is_named(
    store: LabelStore, damage: Callable[[Path], object], said: str
) -> None:
    damage(store.path / "header.json")
    with pytest.raises(LabelStoreError, match=said) as caught:
        LabelStore.open(store.path)
    assert str(store.path) in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"height": 0}, "at least one camera and one pixel, got 6 cameras of 0 x 32"),
        ({"cameras": ()}, "got 0 cameras"),
        ({"cameras": make_header().geometry.cameras[:1] * 2}, "must differ in name"),
        (
            {"cameras": (replace(make_header().geometry.cameras[0], scale=0.0),)},
            "scale of camera CAM_FRONT_LEFT must be positive, got 0.0",
        ),
    ],
)
def test_an_impossible_raster_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(LabelStoreError, match=said):
        replace(make_header().geometry, **changes)


@pytest.mark.parametrize("token", ["", "../out", "a/b", ".hidden", "a\0b", "/etc/passwd"])
def test_a_token_never_leaves_the_store(store: LabelStore, token: str) -> None:
    for use in (store.read, store.has, lambda t: store.write(t, random_labels(store.header))):
        with pytest.raises(LabelStoreError, match="token must be"):
            use(token)


def test_a_kind_without_a_model_reads_as_no_label(tmp_path: Path) -> None:
    header = make_header(models={"semantics": "a segmenter"})
    store = LabelStore.create(tmp_path / "labels", header)
    labels = random_labels(header)
    with pytest.raises(LabelStoreError, match="depth must be zero"):
        store.write(TOKEN, labels)
    store.write(TOKEN, WeakLabels(labels.semantics, np.zeros_like(labels.depth)))
    assert not store.read(TOKEN).depth.any()


WRITER = """
import sys
from gfocc_core.data.label_store import LabelStore
from tests.core.weak_label_fixture import random_labels
store = LabelStore.open(sys.argv[1])
print("ready", flush=True)
for number in range(100_000):
    store.write(f"keyframe-{number % 7}", random_labels(store.header, seed=number))
"""


def start_writer(store: LabelStore) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(store.path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_writers_may_meet_and_be_killed(store: LabelStore) -> None:
    writers = [start_writer(store) for _ in range(2)]
    try:
        read, until = 0, time.monotonic() + 1.5
        while time.monotonic() < until or read < 20:
            for token in store.tokens():
                assert store.read(token).semantics.shape == (6, 16, 32)
                read += 1
    finally:
        for writer in writers:
            os.kill(writer.pid, signal.SIGKILL)
            writer.wait()
    assert set(store.tokens()) <= {f"keyframe-{number}" for number in range(7)}
    for token in store.tokens():
        store.read(token)


def test_an_unfinished_file_is_no_label(store: LabelStore) -> None:
    (store.path / f".{TOKEN}.labels.0123.partial").write_bytes(b"half")
    assert store.tokens() == ()
    assert not store.has(TOKEN)


FULL_DISK = """
import resource, sys
from gfocc_core.data.label_store import LabelStore
from tests.core.weak_label_fixture import random_labels
store = LabelStore.open(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    store.write("keyframe-0", random_labels(store.header, seed=5))
except OSError as error:
    print(error.strerror)
"""


def test_a_full_disk_leaves_what_was_there(store: LabelStore) -> None:
    before = random_labels(store.header)
    store.write(TOKEN, before)
    result = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(store.path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "File too large\n"
    np.testing.assert_array_equal(store.read(TOKEN).semantics, before.semantics)
    assert sorted(path.name for path in store.path.iterdir()) == ["header.json", f"{TOKEN}.labels"]
