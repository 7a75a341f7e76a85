"""The index says what nuscenes-devkit says, fits its data set, and survives no damage unseen."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nuscenes.nuscenes import NuScenes
from nuscenes.utils.splits import create_splits_scenes

from gfocc_core.atomic_file import write_atomically
from gfocc_core.data.frames import NUSCENES_CAMERAS, load_frame
from gfocc_core.data.index import SceneIndex
from gfocc_core.data.index_file import read_index, stays_inside, write_index
from gfocc_core.data.nuscenes_index import build_index
from gfocc_core.data.scenes import DatasetError, keyframe_tokens, open_nuscenes
from gfocc_core.data.sensors import ego_from_sensor, keyframe_reading, stamp_ns_of
from gfocc_core.data.table_stream import Sample, iter_records
from gfocc_core.geometry import compose_ego_from_cam
from tests.nuscenes_fixture import SCENES, NuscenesFixture, write_nuscenes

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def command() -> ModuleType:
    """training/index_nuscenes.py"""
    spec = importlib.util.spec_from_file_location(
        "index_nuscenes", ROOT / "training" / "index_nuscenes.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> NuscenesFixture:
    """A synthetic dataset to read; tests that damage one write their own."""
    return write_nuscenes(tmp_path_factory.mktemp("nuscenes"))


@pytest.fixture
def damaged(tmp_path: Path) -> NuscenesFixture:
    """A dataset of the test's own, to be damaged."""
    return write_nuscenes(tmp_path / "nuscenes")


def make_index(dataset: NuscenesFixture, path: Path) -> Path:
    write_index(path, *build_index(dataset.root, dataset.version))
    return path


def edit(path: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    """Change the records of a table."""
    records = json.loads(path.read_text())
    change(records)
    path.write_text(json.dumps(records))


def assert_index_is_the_devkits(
    index: SceneIndex, nusc: NuScenes, cameras: tuple[str, ...]
) -> None:
    columns = [index.cameras.index(camera) for camera in cameras]
    assert index.scenes == tuple(scene["name"] for scene in nusc.scene)
    assert len(index) == len(nusc.sample)
    for scene in index.scenes:
        tokens = keyframe_tokens(nusc, scene)
        positions = index.positions_of_scene(scene)
        assert [index.tokens[position] for position in positions] == list(tokens)
        for position, token in zip(positions, tokens, strict=True):
            frame = load_frame(nusc, token, cameras)
            keyframe = index.keyframe(position)
            assert index.position_of(token) == position
            assert (keyframe.token, keyframe.scene) == (token, scene)
            assert keyframe.stamp_ns == frame.stamp_ns
            assert keyframe.global_from_ego.dtype == torch.float64
            torch.testing.assert_close(keyframe.global_from_ego, frame.global_from_ego)
            pose = compose_ego_from_cam(
                keyframe.global_from_ego,
                keyframe.cameras.global_from_ego_at_cam,
                keyframe.cameras.ego_at_cam_from_cam,
            )
            torch.testing.assert_close(pose[columns].float(), frame.rig.ego_from_cam)
            torch.testing.assert_close(
                keyframe.cameras.intrinsics[columns].float(), frame.rig.intrinsics
            )
            assert keyframe.cameras.valid.all()
            sample = nusc.get("sample", token)
            lidar = keyframe_reading(nusc, sample, "LIDAR_TOP")
            torch.testing.assert_close(keyframe.ego_from_lidar, ego_from_sensor(nusc, lidar))
            assert Path(keyframe.lidar_file) == Path(nusc.get_sample_data_path(lidar["token"]))
            for camera, column in zip(cameras, columns, strict=True):
                reading = keyframe_reading(nusc, sample, camera)
                file = keyframe.camera_files[column]
                assert file == index.image_file(position, column)
                assert Path(str(file)) == Path(nusc.get_sample_data_path(reading["token"]))
                assert keyframe.camera_stamps_ns[column] == stamp_ns_of(reading)
                size = (reading["height"], reading["width"])
                assert keyframe.image_sizes[column] == tuple(index.image_sizes[position, column])
                assert keyframe.image_sizes[column] == size


def test_index_is_what_the_devkit_reads(dataset: NuscenesFixture, tmp_path: Path) -> None:
    index = SceneIndex.load(make_index(dataset, tmp_path / "index"), dataset.root)
    assert index.cameras == NUSCENES_CAMERAS
    nusc = open_nuscenes(dataset.root, dataset.version)
    assert_index_is_the_devkits(index, nusc, NUSCENES_CAMERAS)


@pytest.mark.keyframe
def test_real_keyframe_is_what_the_devkit_reads(
    keyframe_dir: Path, tmp_path: Path, command: ModuleType
) -> None:
    version = next(path.parent.name for path in sorted(keyframe_dir.glob("*/scene.json")))
    out = tmp_path / "new" / "index"
    arguments = ["--dataroot", str(keyframe_dir), "--version", version, "--out", str(out)]
    assert command.main(arguments) == 0
    index = SceneIndex.load(out, keyframe_dir)
    nusc = open_nuscenes(keyframe_dir, version)
    assert_index_is_the_devkits(index, nusc, index.cameras)
    for name, scenes in create_splits_scenes().items():
        members = tuple(scene for scene in index.scenes if scene in scenes)
        assert index.splits.get(name, ()) == members


def test_positions_run_through_the_scenes(dataset: NuscenesFixture, tmp_path: Path) -> None:
    index = SceneIndex.load(make_index(dataset, tmp_path / "index"), dataset.root)
    count = dataset.keyframes
    assert index.positions_of_scene(SCENES[0]) == range(count)
    assert index.positions_of_scene(SCENES[1]) == range(count, 2 * count)
    scenes = [index.scene_at(position) for position in range(len(index))]
    assert scenes == [SCENES[0]] * count + [SCENES[1]] * count
    with pytest.raises(
        DatasetError, match=r"scene 'x' is not in the index; it holds 2: scene-0001"
    ):
        index.positions_of_scene("x")
    with pytest.raises(DatasetError, match="no keyframe 'x'"):
        index.position_of("x")


def test_splits_are_the_devkits_and_your_own(damaged: NuscenesFixture, tmp_path: Path) -> None:
    splits = damaged.root / damaged.version / "splits.json"
    splits.write_text(json.dumps({"mine": [SCENES[1]], "both": SCENES[::-1], "val": [SCENES[0]]}))
    index = SceneIndex.load(make_index(damaged, tmp_path / "index"), damaged.root)
    assert index.scenes_of_split("mine") == (SCENES[1],)
    assert index.scenes_of_split("both") == SCENES
    members = [scene for scene in SCENES if scene in create_splits_scenes()["train"]]
    assert list(index.scenes_of_split("train")) == members
    with pytest.raises(DatasetError, match=r"split 'val' has no scene in this dataset.*both, mine"):
        index.scenes_of_split("val")  # nuScenes' own is not overridden, as in the devkit


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"mine": ["scene-9"]}', "split 'mine' of .* lacks: scene-9"),
        ('["scene-0001"]', "must be an object of split name"),
        ('{"mine": "scene-0001"}', "must be an object of split name"),
        ('{"mine": [', "must be an object of split name"),
    ],
)
def test_unusable_splits_are_named(damaged: NuscenesFixture, content: str, said: str) -> None:
    path = damaged.root / damaged.version / "splits.json"
    path.write_text(content)
    with pytest.raises(DatasetError, match=said) as caught:
        build_index(damaged.root, damaged.version)
    assert str(path) in str(caught.value)


def test_the_folder_may_move(damaged: NuscenesFixture, tmp_path: Path) -> None:
    path = make_index(damaged, tmp_path / "index")
    moved = tmp_path / "elsewhere" / "nuscenes"
    moved.parent.mkdir()
    damaged.root.rename(moved)
    index = SceneIndex.load(path, moved)
    assert all(Path(str(file)).is_file() for file in index.keyframe(0).camera_files)


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


def test_a_keyframe_may_lack_a_camera(damaged: NuscenesFixture, tmp_path: Path) -> None:
    sample = f"{SCENES[0]}-sample-1"
    edit(
        damaged.table("sample_data"),
        lambda records: [
            record.update(is_key_frame=False)
            for record in records
            if record["sample_token"] == sample and "CAM_BACK-" in record["token"]
        ],
    )
    index = SceneIndex.load(make_index(damaged, tmp_path / "index"), damaged.root)
    back = index.cameras.index("CAM_BACK")
    keyframe = index.keyframe(index.position_of(sample))
    assert keyframe.camera_files[back] is None
    assert keyframe.cameras.valid.tolist() == [camera != back for camera in range(6)]
    assert index.cameras_at([0, 1, 2]).valid[:, back].tolist() == [True, False, True]


def test_cameras_that_nuscenes_lacks_come_last(damaged: NuscenesFixture) -> None:
    added = [
        {"token": channel, "channel": channel, "modality": "camera"}
        for channel in ("ROOF", "BUMPER")
    ]
    edit(damaged.table("sensor"), lambda records: records.extend(added))
    meta, _ = build_index(damaged.root, damaged.version)
    assert meta.cameras == (*NUSCENES_CAMERAS, "BUMPER", "ROOF")


def test_progress_reaches_all_bytes(dataset: NuscenesFixture) -> None:
    seen: list[tuple[int, int]] = []
    build_index(dataset.root, dataset.version, lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == seen[-1][1]
    assert len({total for _, total in seen}) == 1


@settings(max_examples=60, deadline=None)
@given(
    records=st.lists(
        st.fixed_dictionaries(
            {
                "token": st.one_of(
                    st.text(), st.sampled_from(["},{", '"},\n{"', "}\\", "[{}, {}]"])
                ),
                "scene_token": st.text(max_size=3),
                "next": st.just("x"),
                "extra": st.sampled_from([None, [{"a": 1}, {"b": [{}, {}]}], {"c": "} , {"}, "}"]),
            }
        ),
        max_size=12,
    ),
    chunk=st.integers(1, 200),
    indent=st.sampled_from([None, 0, 2]),
)
def test_any_cut_of_a_table_gives_its_records(
    tmp_path_factory: pytest.TempPathFactory,
    records: list[dict[str, Any]],
    chunk: int,
    indent: int | None,
) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "sample.json").write_text(json.dumps(records, indent=indent))
    found = list(iter_records(folder, Sample, chunk_bytes=chunk))
    assert [record.token for record in found] == [record["token"] for record in records]


def test_a_table_is_read_in_pieces(tmp_path: Path) -> None:
    row = {"token": "t" * 50, "scene_token": "s", "next": ""}
    (tmp_path / "sample.json").write_text(json.dumps([row] * 1000, indent=0))
    pieces: list[int] = []
    records = iter_records(tmp_path, Sample, pieces.append, chunk_bytes=4096)
    next(records)
    assert pieces == [4096]  # the first record is there before the second piece is read
    assert sum(1 for _ in records) == 999
    assert sum(pieces) == (tmp_path / "sample.json").stat().st_size


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


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "index"
    path.write_bytes(b"old")

    def fail(file: Any) -> None:
        file.write(b"new, but")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, fail)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_command_reports_what_it_wrote(dataset: NuscenesFixture, tmp_path: Path) -> None:
    out = tmp_path / "index"
    result = subprocess.run(
        [
            *(sys.executable, ROOT / "training" / "index_nuscenes.py", "--out", out),
            *("--dataroot", dataset.root, "--version", dataset.version),
        ],
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"wrote {out}: 6 keyframes of 2 scenes, 6 cameras")
    assert len(SceneIndex.load(out, dataset.root)) == 6


def test_bad_input_is_one_line_and_writes_nothing(
    command: ModuleType,
    damaged: NuscenesFixture,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out" / "index"
    good = {"--dataroot": str(damaged.root), "--version": damaged.version, "--out": str(out)}
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.copytree(damaged.root, tmp_path / "bad")
    (tmp_path / "bad" / damaged.version / "sample.json").write_text("[")
    for changes, said in (
        ({"--dataroot": "/nowhere"}, "dataroot '/nowhere' is not a folder"),
        ({"--version": "v9"}, f"version 'v9' is not in .*{damaged.version}"),
        ({"--out": str(folder)}, "is a folder, not a file"),
        ({"--dataroot": str(tmp_path / "bad")}, "sample.json' is corrupt"),
        ({"--surprise": "1"}, "unrecognized arguments: --surprise 1"),
    ):
        arguments = [part for pair in {**good, **changes}.items() for part in pair]
        try:
            code = command.main(arguments)
        except SystemExit as stop:
            code = stop.code
        stderr = capsys.readouterr().err
        assert code == 2
        assert stderr.count("\n") == 1
        assert re.search(said, stderr), stderr
        assert not out.parent.exists()
