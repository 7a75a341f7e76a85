"""The published layout of weak labels is read at the raster, and named where it does not fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from gfocc_core.data.label_store import LabelStore
from gfocc_core.data.reference_labels import ReferenceLabels
from gfocc_core.data.weak_labels import LabelStoreError
from tests.core.weak_label_fixture import SIZES, make_header

Array = npt.NDArray[Any]
TOKEN = "keyframe-0"


@pytest.fixture
def store(tmp_path: Path) -> LabelStore:
    return LabelStore.create(tmp_path / "labels", make_header())


class FullSize:
    """The published layout: full-size arrays whose values tell where they came from."""

    def __init__(self, root: Path, cameras: tuple[str, ...]) -> None:
        self.semantics_folder = root / "semantics"
        self.depth_folder = root / "depth"
        self.cameras = cameras
        random = np.random.default_rng(3)
        height, width = SIZES[cameras[0]]
        self.semantics = random.integers(0, 17, (len(cameras), height, width), dtype=np.uint8)
        rows, columns = np.mgrid[:height, :width]
        number = np.arange(len(cameras))[:, None, None]
        self.depth = (1 + rows + 0.01 * columns + 40 * number).astype(np.float16)
        self.semantics_folder.mkdir()
        self.depth_folder.mkdir()

    def write(self, pattern: str, token: str) -> None:
        for folder, array in (
            (self.semantics_folder, self.semantics),
            (self.depth_folder, self.depth),
        ):
            for number, camera in enumerate(self.cameras if "{camera}" in pattern else [None]):
                path = folder / pattern.format(token=token, camera=camera)
                path.parent.mkdir(parents=True, exist_ok=True)
                np.save(path, array if camera is None else array[number])

    def reader(self, **changes: Any) -> ReferenceLabels:
        arguments: dict[str, Any] = {
            "semantics_folder": self.semantics_folder,
            "depth_folder": self.depth_folder,
            "header": make_header(),
            **changes,
        }
        return ReferenceLabels(**arguments)


@pytest.mark.parametrize("pattern", ["{token}.npy", "{token}/{camera}.npy", "{camera}/{token}.npy"])
def test_published_folders_are_read_at_the_raster(tmp_path: Path, pattern: str) -> None:
    # the files keep another order of cameras than the header asks for
    files = FullSize(tmp_path, tuple(reversed(SIZES)))
    files.write(pattern, "b")
    files.write(pattern, "a")
    np.save(files.depth_folder / "only-depth.npy", files.depth)
    reader = files.reader(pattern=pattern, file_cameras=files.cameras)
    assert reader.tokens() == ("a", "b")
    assert reader.has("a")
    assert not reader.has("c")
    labels = reader.read("a")
    geometry = reader.header.geometry
    for number, camera in enumerate(geometry.cameras):
        stored = files.cameras.index(camera.name)
        for row, column in ((0, 0), (15, 31), (7, 20)):
            # the full-size pixel that holds the centre of this raster pixel
            y = int((row + 0.5 + camera.top) / camera.scale)
            x = int((column + 0.5 + camera.left) / camera.scale)
            assert labels.semantics[number, row, column] == files.semantics[stored, y, x]
            assert labels.depth[number, row, column] == files.depth[stored, y, x]


def test_published_folders_can_be_brought_into_a_store(tmp_path: Path) -> None:
    files = FullSize(tmp_path, tuple(SIZES))
    files.write("{token}.npy", TOKEN)
    reader = files.reader()
    store = LabelStore.create(tmp_path / "labels", reader.header)
    for token in reader.tokens():
        store.write(token, reader.read(token))
    np.testing.assert_array_equal(store.read(TOKEN).semantics, reader.read(TOKEN).semantics)
    np.testing.assert_allclose(store.read(TOKEN).depth, reader.read(TOKEN).depth, rtol=0.005)


def save(kind: str, array: Any) -> Callable[[FullSize], object]:
    def damage(files: FullSize) -> None:
        np.save(getattr(files, f"{kind}_folder") / f"{TOKEN}.npy", array)

    return damage


SHAPE = (6, *next(iter(SIZES.values())))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda f: (f.depth_folder / f"{TOKEN}.npy").unlink(), "is missing"),
        (lambda f: (f.depth_folder / f"{TOKEN}.npy").write_bytes(b"\x93NUMPY"), "cannot be used"),
        (save("depth", np.zeros((5, *SHAPE[1:]), np.float16)), r"must be \[6, H, W\], got \[5"),
        (save("depth", np.zeros((6, 16, 32), np.float16)), r"\[36, 64\] pixels.*got \[16, 32\]"),
        (save("depth", np.full(SHAPE, np.nan, np.float16)), "NaN"),
        (save("depth", np.full(SHAPE, -1.0, np.float16)), "negative"),
        (save("depth", np.zeros(SHAPE, np.uint8)), "floating-point metres, got uint8"),
        (save("semantics", np.full(SHAPE, 17, np.uint8)), "ids 0 to 16, got 17"),
        (save("semantics", np.zeros(SHAPE, np.float32)), "integers, got float32"),
        (save("semantics", np.array([{}], dtype=object)), "cannot be used"),
    ],
)
def test_an_unusable_published_file_is_named(
    tmp_path: Path, damage: Callable[[FullSize], object], said: str
) -> None:
    files = FullSize(tmp_path, tuple(SIZES))
    files.write("{token}.npy", TOKEN)
    damage(files)
    with pytest.raises(LabelStoreError, match=said) as caught:
        files.reader().read(TOKEN)
    assert f"{TOKEN}.npy" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"depth_folder": Path("/nowhere")}, "depth folder '/nowhere' is not a folder"),
        ({"pattern": "labels.npy"}, "must contain {token}"),
        ({"pattern": "{token}/{view}.npy"}, "must contain {token} and may contain {camera}"),
        ({"file_cameras": ("CAM_FRONT",)}, "file_cameras must contain"),
    ],
)
def test_an_unusable_published_layout_is_refused(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(LabelStoreError, match=said):
        FullSize(tmp_path, tuple(SIZES)).reader(**changes)
