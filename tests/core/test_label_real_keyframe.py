"""The real keyframe goes through a real network, a store, import and the training set."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from gfocc_core.config import ImageConfig
from gfocc_core.data.augmentation import NO_AUGMENTATION
from gfocc_core.data.index import SceneIndex
from gfocc_core.data.index_file import write_index
from gfocc_core.data.label_store import LabelStore
from gfocc_core.data.nuscenes_index import build_index
from gfocc_core.data.training_dataset import TrainingDataset
from gfocc_core.labelling.cli import main
from tests.core.label_commands import PLUGINS, SCRIPT

CITYSCAPES = "deeplab_mobilenet_edgetpu_slim_cityscapes_quant.tflite"


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
