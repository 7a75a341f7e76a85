"""The index says what nuscenes-devkit says, and fits its data set."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nuscenes.nuscenes import NuScenes
from nuscenes.utils.splits import create_splits_scenes

from gfocc_core.atomic_file import write_atomically
from gfocc_core.data.frames import NUSCENES_CAMERAS, load_frame
from gfocc_core.data.index import SceneIndex
from gfocc_core.data.nuscenes_index import build_index
from gfocc_core.data.scenes import DatasetError, keyframe_tokens, open_nuscenes
from gfocc_core.data.sensors import ego_from_sensor, keyframe_reading, stamp_ns_of
from gfocc_core.data.table_stream import Sample, iter_records
from gfocc_core.geometry import compose_ego_from_cam
from tests.core.index_files import edit, make_index
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
