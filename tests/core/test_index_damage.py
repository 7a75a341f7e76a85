"""No index or table that is damaged, foreign or leaves its folder is read unseen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from gfocc_core.data.index import SceneIndex
from gfocc_core.data.index_file import read_index, stays_inside, write_index
from gfocc_core.data.nuscenes_index import build_index
from gfocc_core.data.scenes import DatasetError
from tests.core.index_files import edit, make_index
from tests.nuscenes_fixture import SCENES, NuscenesFixture, write_nuscenes


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> NuscenesFixture:
    """A synthetic dataset to read; tests that damage one write their own."""
    return write_nuscenes(tmp_path_factory.mktemp("nuscenes"))


@pytest.fixture
def damaged(tmp_path: Path) -> NuscenesFixture:
    """A dataset of the test's own, to be damaged."""
    return write_nuscenes(tmp_path / "nuscenes")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: edit(d.table("sample"), lambda r: r.pop()), "sample.json has .* bytes and had"),
        (
            lambda d: d.table("scene").write_text(
                d.table("scene").read_text().replace(SCENES[0], "scene-0009")
            ),
            "scene.json has another content",
        ),
        (lambda d: (d.root / d.version / "splits.json").write_text("{}"), "splits.json is new"),
    ],
)
def test_an_index_of_other_tables_is_refused(
    damaged: NuscenesFixture, tmp_path: Path, change: Callable[[NuscenesFixture], Any], said: str
) -> None:
    path = make_index(damaged, tmp_path / "index")
    change(damaged)
    with pytest.raises(DatasetError, match=said) as caught:
        SceneIndex.load(path, damaged.root)
    for name in (str(path), str(damaged.root), "index_nuscenes.py"):
        assert name in str(caught.value)


def test_a_change_of_a_big_tables_start_or_end_is_noticed(
    damaged: NuscenesFixture, tmp_path: Path
) -> None:
    table = damaged.table("ego_pose")
    padding = " " * (3 * 2**20)
    table.write_text(table.read_text()[:-1] + padding + "]")
    path = make_index(damaged, tmp_path / "index")
    whole = table.read_bytes()
    SceneIndex.load(path, damaged.root)
    for position in (1, len(whole) - 2):
        changed = bytearray(whole)
        changed[position : position + 1] = b"\t"
        table.write_bytes(changed)
        with pytest.raises(DatasetError, match=r"ego_pose\.json has another content"):
            SceneIndex.load(path, damaged.root)


def test_an_index_without_its_dataset_is_refused(dataset: NuscenesFixture, tmp_path: Path) -> None:
    path = make_index(dataset, tmp_path / "index")
    with pytest.raises(DatasetError, match="nowhere' is not a folder"):
        SceneIndex.load(path, tmp_path / "nowhere")
    with pytest.raises(DatasetError, match=f"version '{dataset.version}' is not in dataroot"):
        SceneIndex.load(path, tmp_path)


def other_format(path: Path) -> None:
    with np.load(path) as archive:
        content = dict(archive)
    meta = msgspec.json.decode(content["meta"].tobytes())
    content["meta"] = np.frombuffer(msgspec.json.encode({**meta, "format_version": 7}), np.uint8)
    np.savez(path.with_suffix(".npz"), **content)
    path.with_suffix(".npz").rename(path)


def wrong_shape(path: Path) -> None:
    meta, arrays = read_index(path)
    write_index(path, meta, replace(arrays, camera_files=arrays.camera_files[:, :3]))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:-30]), "damaged or no index"),
        (lambda path: path.write_bytes(b"text" * 100), "damaged or no index"),
        (lambda path: path.write_bytes(b""), "damaged or no index"),
        (other_format, "version 7, this program reads 'gfocc-index' version 1"),
        (wrong_shape, "camera_files must be"),
    ],
    ids=["missing", "cut", "text", "empty", "version", "shape"],
)
def test_a_damaged_index_is_named(
    dataset: NuscenesFixture, tmp_path: Path, damage: Callable[[Path], object], said: str
) -> None:
    path = make_index(dataset, tmp_path / "index")
    damage(path)
    with pytest.raises(DatasetError, match=said) as caught:
        SceneIndex.load(path, dataset.root)
    assert str(path) in str(caught.value)


def test_flipped_bits_are_noticed(dataset: NuscenesFixture, tmp_path: Path) -> None:
    path = make_index(dataset, tmp_path / "index")
    whole, (_, before) = path.read_bytes(), read_index(path)
    random = np.random.default_rng(0)
    noticed = 0
    for position in random.integers(len(whole), size=60):
        changed = bytearray(whole)
        changed[position] ^= 1 << int(random.integers(8))
        path.write_bytes(changed)
        try:
            _, after = read_index(path)
        except DatasetError:
            noticed += 1
        else:  # a bit of the archive's own bookkeeping that means nothing
            for name, array in vars(before).items():
                np.testing.assert_array_equal(getattr(after, name), array)
    assert noticed > 30


def change_front_camera(**values: Any) -> Callable[[list[dict[str, Any]]], None]:
    """Overwrite fields of those records that belong to the first scene's front camera."""

    def change(records: list[dict[str, Any]]) -> None:
        for record in records:
            if f"{SCENES[0]}-CAM_FRONT" in record["token"] and "FRONT_" not in record["token"]:
                record.update(values)

    return change


@pytest.mark.parametrize(
    ("table", "values", "said"),
    [
        ("sample_data", {"filename": "../secret.jpg"}, "leaves the dataset's folder.*secret"),
        ("sample_data", {"filename": "/etc/passwd"}, "leaves the dataset's folder"),
        ("sample_data", {"filename": ""}, "leaves the dataset's folder or is empty"),
        ("sample_data", {"width": 0}, "CAM_FRONT.*positive integers.*width 0"),
        ("sample_data", {"height": None}, "CAM_FRONT.*positive integers.*height None"),
        ("sample_data", {"timestamp": "now"}, r"sample_data\.json' is corrupt.*timestamp"),
        ("sample_data", {"timestamp": -1}, "microseconds, got -1"),
        ("sample_data", {"ego_pose_token": "gone"}, "ego_pose has no record with token 'gone'"),
        ("sample_data", {"calibrated_sensor_token": "gone"}, "calibrated_sensor 'gone'"),
        ("ego_pose", {"rotation": [0, 0, 0, 0]}, "ego_pose '.*CAM_FRONT.*quaternion"),
        ("ego_pose", {"translation": [1, 2]}, r"ego_pose\.json' is corrupt.*translation"),
        ("ego_pose", {"translation": [1, float("nan"), 0]}, r"ego_pose\.json' is corrupt"),
        ("calibrated_sensor", {"rotation": [0, 0, 0, 0]}, "calibrated_sensor '.*CAM_FRONT.*quat"),
        ("calibrated_sensor", {"camera_intrinsic": []}, "camera_intrinsic .*CAM_FRONT.* 3 x 3"),
        (
            "calibrated_sensor",
            {"camera_intrinsic": [[0, 0, 32], [0, 50, 18], [0, 0, 1]]},
            "camera_intrinsic .*CAM_FRONT.*positive focal lengths",
        ),
        ("calibrated_sensor", {"sensor_token": "gone"}, "names sensor 'gone'"),
    ],
)
def test_an_impossible_record_is_named(
    damaged: NuscenesFixture, table: str, values: dict[str, Any], said: str
) -> None:
    edit(damaged.table(table), change_front_camera(**values))
    with pytest.raises(DatasetError, match=said):
        build_index(damaged.root, damaged.version)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.unlink(), "missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:-20]), "corrupt"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "corrupt"),
        (lambda path: path.write_bytes(b""), "corrupt"),
        (lambda path: path.write_text('{"token": "a"}'), "corrupt"),
        (lambda path: path.write_text('[{"name": "a"}]'), "corrupt"),
    ],
    ids=["missing", "truncated", "binary", "empty", "object", "without-fields"],
)
@pytest.mark.parametrize("table", ["sample_data", "ego_pose", "scene"])
def test_a_damaged_table_is_named(
    damaged: NuscenesFixture, table: str, damage: Callable[[Path], object], said: str
) -> None:
    damage(damaged.table(table))
    with pytest.raises(DatasetError, match=rf"{table}\.json' is {said}"):
        build_index(damaged.root, damaged.version)


@pytest.mark.parametrize(
    ("table", "change", "said"),
    [
        ("sample", lambda r: r[1].update(next=r[0]["token"]), "form a circle"),
        ("sample", lambda r: r[1].update(next="gone"), "no 'gone', which scene 'scene-0001' needs"),
        ("sample", lambda r: r[1].update(next=r[4]["token"]), "belongs to another"),
        ("scene", lambda r: r[0].update(first_sample_token=""), "'scene-0001' has no keyframe"),
        ("scene", lambda r: r[1].update(name=SCENES[0]), "holds scene 'scene-0001' twice"),
        ("scene", lambda r: r.clear(), "holds no scene"),
        ("sensor", lambda r: [x.update(modality="radar") for x in r], "knows no camera"),
        (
            "sample_data",
            lambda r: [x.update(timestamp=5) for x in r if "LIDAR" in x["token"]],
            "scene 'scene-0001' are not in the order of time",
        ),
        (
            "sample_data",
            lambda r: [x.update(is_key_frame=False) for x in r if "LIDAR" in x["token"]],
            "no LIDAR_TOP keyframe reading, and 5 more",
        ),
    ],
)
def test_tables_that_do_not_fit_together_are_an_error(
    damaged: NuscenesFixture,
    table: str,
    change: Callable[[list[dict[str, Any]]], object],
    said: str,
) -> None:
    edit(damaged.table(table), change)
    with pytest.raises(DatasetError, match=said):
        build_index(damaged.root, damaged.version)


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("samples/CAM/a..b.jpg", True),
        ("a.jpg", True),
        ("./a.jpg", True),
        ("..", False),
        ("samples/../../a.jpg", False),
        ("/a.jpg", False),
        ("\\a.jpg", False),
        ("samples\\..\\..\\a.jpg", False),
        ("C:\\a.jpg", False),
        ("", False),
    ],
)
def test_names_that_leave_the_folder_are_recognised(name: str, inside: bool) -> None:
    assert stays_inside(name) is inside


def test_an_index_that_points_outside_is_refused(dataset: NuscenesFixture) -> None:
    meta, arrays = build_index(dataset.root, dataset.version)
    arrays.camera_files[1, 2] = b"../secret.jpg"
    index = SceneIndex(dataset.root, meta, arrays)
    with pytest.raises(DatasetError, match=r"outside the dataset's folder: '\.\./secret\.jpg'"):
        index.image_file(1, 2)
