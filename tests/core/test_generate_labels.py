"""training/generate_labels.py: whole runs, cut, killed, met, refused; and what comes of stores."""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gfocc_core.config import ImageConfig
from gfocc_core.data import label_store
from gfocc_core.data.augmentation import NO_AUGMENTATION
from gfocc_core.data.index import SceneIndex
from gfocc_core.data.index_file import write_index
from gfocc_core.data.label_store import LabelStore
from gfocc_core.data.nuscenes_index import build_index
from gfocc_core.data.training_dataset import TrainingDataset
from gfocc_core.labelling.cli import main
from gfocc_core.labelling.devices import gpu_environments, run_per_device
from gfocc_core.labelling.progress import duration
from gfocc_core.labelling.protocols import LabellingError
from gfocc_core.labelling.share import Shard, chosen_positions
from tests.core.weak_label_fixture import random_labels
from tests.nuscenes_fixture import SCENES, VERSION, write_nuscenes

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "training/generate_labels.py"
PLUGINS = "tests.core.label_plugins"
KEYFRAMES = 3
CITYSCAPES = "deeplab_mobilenet_edgetpu_slim_cityscapes_quant.tflite"


class Dataset:
    """A small data set with its index, and the commands on it."""

    def __init__(self, root: Path) -> None:
        self.root, self.dataroot = root, root / "data"
        write_nuscenes(self.dataroot, keyframes=KEYFRAMES, sweeps=0)
        write_index(root / "index", *build_index(self.dataroot, VERSION))
        self.index = SceneIndex.load(root / "index", self.dataroot)

    def arguments(self, out: str, *more: str) -> list[str]:
        folders = ["--dataroot", str(self.dataroot), "--index", str(self.root / "index")]
        return [*folders, "--out", str(self.root / out), *more]

    def depth_arguments(self, out: str, *more: str, options: str = "") -> list[str]:
        model = f"{PLUGINS}:random_depth{options}"
        rest = ("--raster", "16x32", "--device", "cpu", *more)
        return ["depth", *self.arguments(out, "--model", model, *rest)]

    def depth(self, out: str, *more: str, options: str = "") -> int:
        return main(self.depth_arguments(out, *more, options=options), script=SCRIPT)

    def semantics(self, out: str, *more: str) -> int:
        model = f"{PLUGINS}:bright_classes"
        rest = ("--raster", "16x32", "--device", "cpu", *more)
        arguments = self.arguments(out, "--model", model, *rest)
        return main(["semantics", *arguments], script=SCRIPT)

    def store(self, out: str) -> LabelStore:
        return LabelStore.open(self.root / out)

    def image(self, position: int, camera: int = 0) -> Path:
        path = self.index.image_file(position, camera)
        assert path is not None
        return Path(path)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return Dataset(tmp_path)


def objects(store: LabelStore) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.path.glob("*.labels")}


def test_both_kinds_are_made_joined_and_trained_on(
    dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    ramp = np.linspace(0, 250, 36)[:, None] + np.zeros(64)
    for camera in range(6):
        Image.fromarray(ramp.astype(np.uint8)).save(dataset.image(2, camera), quality=95)
    assert dataset.semantics("s") == 0
    assert dataset.depth("d") == 0
    both = str(dataset.root / "both")
    parts = ("--semantics", str(dataset.root / "s"), "--depth", str(dataset.root / "d"))
    assert main(["import", *parts, "--out", both], script=SCRIPT) == 0
    assert "6 keyframes written" in capsys.readouterr().out
    store = dataset.store("both")
    assert set(store.tokens()) == set(dataset.index.tokens)
    items = TrainingDataset(
        dataset.index,
        store,
        dataset.index.scenes,
        ImageConfig(height=16, width=32),
        NO_AUGMENTATION,
        history=0,
        horizon=0,
        renders=1,
    )
    item = items[2]
    assert item["label_valid"].tolist() == [True]
    # the network's class is the brightness of the pixel: labels lie on the image
    brightness = item["images"][0].float().mean(1) * 17 / 256
    assert (brightness - item["label_semantics"][0] - 0.5).abs().max() < 1
    assert (item["label_depth"] > 0).all()


def test_a_second_run_adds_nothing_and_a_missing_keyframe_is_made_anew(
    dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dataset.depth("d") == 0
    before = objects(dataset.store("d"))
    (dataset.root / "d" / f"{dataset.index.tokens[4]}.labels").unlink()
    capsys.readouterr()
    assert dataset.depth("d") == 0
    said = capsys.readouterr()
    assert "1 keyframes written" in said.out
    assert "5 were there" in said.out
    assert "depth: 5 of 6 keyframes are there already" in said.err
    assert objects(dataset.store("d")) == before


def test_shards_share_the_work_without_overlap(dataset: Dataset) -> None:
    index = dataset.index
    shares = [chosen_positions(index, (), Shard(number, 4)) for number in range(4)]
    assert sorted(position for share in shares for position in share) == list(range(6))
    for shard in (Shard(), Shard(1, 3)):
        parts = [chosen_positions(index, (), part) for part in shard.split(2)]
        assert sorted(parts[0] + parts[1]) == chosen_positions(index, (), shard)
    assert dataset.depth("d", "--shard", "1/2") == 0
    assert set(dataset.store("d").tokens()) == {index.tokens[number] for number in (1, 3, 5)}
    assert dataset.depth("d", "--shard", "0/2", "--scenes", SCENES[1]) == 0
    assert set(dataset.store("d").tokens()) == {index.tokens[n] for n in (1, 3, 5)} | {
        index.tokens[position] for position in list(index.positions_of_scene(SCENES[1]))[::2]
    }


def test_several_processes_are_started_and_their_exit_code_is_the_worst(dataset: Dataset) -> None:
    command = [sys.executable, str(SCRIPT), *dataset.depth_arguments("d", "--devices", "2")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "depth 0/2: 3/3 keyframes" in done.stderr
    assert "depth 1/2: 3/3 keyframes" in done.stderr
    assert len(dataset.store("d").tokens()) == 6
    worse = [sys.executable, "-c", "import sys; sys.exit(sys.argv[-1] == '1/2')"]
    assert run_per_device(worse, Shard(), [{}, {}]) == 1


def start(dataset: Dataset, out: str) -> subprocess.Popen[str]:
    arguments = dataset.depth_arguments(out, "--threads", "1", options=",pause=0.3")
    return subprocess.Popen([sys.executable, str(SCRIPT), *arguments], cwd=ROOT, text=True)


def wait_for_labels(folder: Path, count: int) -> None:
    until = time.monotonic() + 120
    while len(list(folder.glob("*.labels"))) < count:
        assert time.monotonic() < until, "no labels appear"
        time.sleep(0.01)


def test_a_killed_run_is_gone_on_with(dataset: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    process = start(dataset, "d")
    try:
        wait_for_labels(dataset.root / "d", 2)
    finally:
        process.kill()
        process.wait()
    kept = objects(dataset.store("d"))
    assert 2 <= len(kept) < 6
    times = {name: (dataset.root / "d" / name).stat().st_mtime_ns for name in kept}
    assert dataset.depth("d") == 0
    assert f"{len(kept)} were there" in capsys.readouterr().out
    for name, written in times.items():
        assert (dataset.root / "d" / name).stat().st_mtime_ns == written
    assert dataset.depth("whole") == 0
    assert objects(dataset.store("d")) == objects(dataset.store("whole"))


def test_an_interrupted_run_says_how_to_go_on(dataset: Dataset) -> None:
    arguments = dataset.depth_arguments("d", "--threads", "1", options=",pause=0.3")
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), *arguments, "--devices", "2"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for_labels(dataset.root / "d", 1)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "the same command goes on where it stopped" in said
    assert "Traceback" not in said


def test_two_runs_may_meet_in_one_store(dataset: Dataset) -> None:
    processes = [start(dataset, "d") for _ in range(2)]
    assert [process.wait(timeout=200) for process in processes] == [0, 0]
    assert dataset.depth("whole") == 0
    assert objects(dataset.store("d")) == objects(dataset.store("whole"))
    assert not list((dataset.root / "d").glob(".*"))


def test_corrupt_and_missing_images_are_left_out_listed_and_made_up_for(
    dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    broken, gone, small = dataset.image(1, 2), dataset.image(3), dataset.image(4, 5)
    whole = {path: path.read_bytes() for path in (broken, gone, small)}
    broken.write_bytes(whole[broken][:-200])
    gone.unlink()
    Image.new("RGB", (10, 10)).save(small)
    assert dataset.depth("d") == 1
    said = capsys.readouterr()
    assert "3 keyframes written" in said.out
    assert "3 left out" in said.out
    for path in (broken, gone, small):
        assert str(path) in said.err
    assert "it is 10x10, but sample_data says 64x36" in said.err
    for path, content in whole.items():
        path.write_bytes(content)
    assert dataset.depth("d") == 0
    assert len(dataset.store("d").tokens()) == 6


def test_a_full_disk_stops_the_run_and_loses_nothing(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written = 0
    atomically = label_store.write_atomically

    def fills_up(path: Path, write: Callable[[Any], object]) -> None:
        nonlocal written
        written += 1
        if written > 3:  # the header and two keyframes
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        atomically(path, write)

    with monkeypatch.context() as patch:
        patch.setattr(label_store, "write_atomically", fills_up)
        assert dataset.depth("d") == 2
    said = capsys.readouterr().err
    assert f"the disk of '{dataset.root / 'd'}' is full" in said
    assert "the 2 keyframes written before are safe" in said
    assert len(dataset.store("d").tokens()) == 2
    assert dataset.depth("d") == 0
    assert len(dataset.store("d").tokens()) == 6


def test_a_keyframe_without_one_camera_has_no_labels_there(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path)
    table = dataset.dataroot / VERSION / "sample_data.json"
    records = json.loads(table.read_text())
    name = dataset.image(2, 3).relative_to(dataset.dataroot).as_posix()
    table.write_text(json.dumps([r for r in records if r["filename"] != name]))
    write_index(dataset.root / "index", *build_index(dataset.dataroot, VERSION))
    assert dataset.depth("d") == 0
    assert dataset.depth("whole") == 0
    labels = dataset.store("d").read(dataset.index.tokens[2])
    assert [bool(depth.any()) for depth in labels.depth] == [True] * 3 + [False] + [True] * 2


@pytest.mark.parametrize(
    ("more", "options", "said"),
    [
        (("--raster", "16x16"), "", "exists with other geometry"),
        ((), ",seed=1", "exists with other models"),
        (("--vocabulary", "{root}/other.yaml"), "", "exists with other vocabulary"),
        (("--scenes", "nowhere"), "", "scene 'nowhere' is not in the index"),
        (("--split", "nowhere"), "", "split 'nowhere'"),
        (("--shard", "2/2"), "", "i from 0 to n - 1, got 2/2"),
        (("--shard", "all"), "", "i from 0 to n - 1, got 'all'"),
        (("--device", "abacus"), "", "'abacus' is no torch device"),
        (("--vocabulary", "nowhere.yaml"), "", "'nowhere.yaml' does not exist"),
        (("--raster", "wide"), "", "neither HEIGHTxWIDTH"),
        (("--threads", "0"), "", "must be a number from 1, got '0'"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(
    dataset: Dataset,
    capsys: pytest.CaptureFixture[str],
    more: tuple[str, ...],
    options: str,
    said: str,
) -> None:
    other = "classes: [none, thing]\nphrases: {thing: thing}\n"
    (dataset.root / "other.yaml").write_text(other)
    assert dataset.depth("d") == 0
    before = objects(dataset.store("d"))
    capsys.readouterr()
    given = [argument.format(root=dataset.root) for argument in more]
    try:
        code: Any = dataset.depth("d", *given, options=options)
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    error = capsys.readouterr().err.strip()
    assert said in error
    assert len(error.splitlines()) == 1
    assert objects(dataset.store("d")) == before


def test_semantics_need_a_pair_of_models_or_one(
    dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["semantics", *dataset.arguments("s", "--detector", "x:y")]
    assert main(arguments, script=SCRIPT) == 2
    assert "either --detector and --segmenter, or --model" in capsys.readouterr().err


def test_the_raster_can_come_from_a_training_configuration(dataset: Dataset) -> None:
    config = ROOT / "training/configs/tiny.yaml"
    assert dataset.depth("d", "--raster", str(config), "--shard", "0/6") == 0
    assert dataset.store("d").header.geometry.shape == (6, 128, 352)


# import


def test_picture_folders_are_imported(dataset: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
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
    dataset: Dataset, capsys: pytest.CaptureFixture[str]
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
    dataset: Dataset, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    (dataset.root / "empty").mkdir()
    assert dataset.depth("made", "--shard", "0/6") == 0
    given = [argument.format(root=dataset.root) for argument in arguments]
    assert main(["import", *dataset.arguments("store", *given)], script=SCRIPT) == 2
    assert said in capsys.readouterr().err
    assert not (dataset.root / "store").exists()


# inspect and verify


def test_inspection_counts_what_is_there(
    dataset: Dataset, capsys: pytest.CaptureFixture[str]
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
    dataset: Dataset, capsys: pytest.CaptureFixture[str]
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
    dataset: Dataset, capsys: pytest.CaptureFixture[str]
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


# parts


def test_gpus_are_shared_out_among_those_that_are_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = gpu_environments({"CUDA_VISIBLE_DEVICES": "3,5,7"}, 2)
    assert shown == [{"CUDA_VISIBLE_DEVICES": "3"}, {"CUDA_VISIBLE_DEVICES": "5"}]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for environment in ({}, {"CUDA_VISIBLE_DEVICES": "3"}):
        with pytest.raises(LabellingError, match="devices is 2, but 1 GPUs are visible"):
            gpu_environments(environment, 2)


def test_durations_are_hours_minutes_seconds() -> None:
    assert duration(3 * 3600 + 7 * 60 + 9.4) == "3:07:09"


# the real keyframe


@pytest.mark.keyframe
def test_the_real_keyframe_goes_through_real_networks_into_training(
    keyframe_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = keyframe_dir.parent / "models" / CITYSCAPES
    if not weights.is_file():
        pytest.skip(f"no Cityscapes network: {weights} does not exist")
    if importlib.util.find_spec("ai_edge_litert") is None:
        pytest.skip("ai-edge-litert is not installed")
    version = next(path.parent.name for path in sorted(keyframe_dir.glob("*/scene.json")))
    write_index(tmp_path / "index", *build_index(keyframe_dir, version))
    folders = ["--dataroot", str(keyframe_dir), "--index", str(tmp_path / "index")]
    networks = []
    for part in ("detector", "segmenter"):
        networks += [f"--{part}", f"{PLUGINS}:cityscapes_{part},weights={weights}"]

    def run(command: str, out: str, *more: str) -> int:
        arguments = [command, *folders, "--out", str(tmp_path / out), *more]
        return main(arguments, script=SCRIPT)

    assert run("semantics", "s", *networks, "--device", "cpu") == 0
    model = f"{PLUGINS}:random_depth"
    assert run("depth", "d", "--model", model, "--device", "cpu") == 0
    parts = ("--semantics", str(tmp_path / "s"), "--depth", str(tmp_path / "d"))
    assert run("import", "both", *parts) == 0
    index = SceneIndex.load(tmp_path / "index", keyframe_dir)
    store = LabelStore.open(tmp_path / "both")
    (token,) = store.tokens()
    # the given weak labels were made with the same network, resampled otherwise
    with np.load(keyframe_dir / "weak_labels.npz") as archive:
        order = [index.cameras.index(str(name)) for name in archive["cameras"]]
        agreement = store.read(token).semantics[order] == archive["semantics"]
        np.save(tmp_path / f"{token}.npy", archive["semantics"])
        sparse = tmp_path / "lidar"
        sparse.mkdir()
        np.save(sparse / f"{token}.npy", archive["lidar_depth"])
        given = archive["semantics"].copy()
        cameras = [str(name) for name in archive["cameras"]]
    assert agreement.mean() > 0.93
    items = TrainingDataset(index, store, index.scenes, ImageConfig(), NO_AUGMENTATION, history=0)
    assert items[0]["label_semantics"].shape[1:] == (6, 256, 704)

    # those weak labels themselves, through import, store, loader and inspection
    parts = ("--semantics", str(tmp_path), "--depth", str(sparse), "--on-raster")
    assert run("import", "given", *parts, "--file-cameras", *cameras) == 0
    store = LabelStore.open(tmp_path / "given")
    np.testing.assert_array_equal(store.read(token).semantics[order], given)
    items = TrainingDataset(index, store, index.scenes, ImageConfig(), NO_AUGMENTATION, history=0)
    np.testing.assert_array_equal(items[0]["label_semantics"][0].numpy()[order], given)
    capsys.readouterr()
    assert main(["inspect", str(store.path), "--json"], script=SCRIPT) == 0
    shares = json.loads(capsys.readouterr().out)["class_share"]
    assert shares["driveable_surface"] == pytest.approx((given == 11).mean())
