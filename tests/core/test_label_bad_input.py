"""training/generate_labels.py refuses what cannot be meant, in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gfocc_core.labelling.cli import main
from tests.core.label_commands import SCRIPT, LabelledDataset, objects


@pytest.fixture
def dataset(tmp_path: Path) -> LabelledDataset:
    return LabelledDataset(tmp_path)


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
    dataset: LabelledDataset,
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
    dataset: LabelledDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["semantics", *dataset.arguments("s", "--detector", "x:y")]
    assert main(arguments, script=SCRIPT) == 2
    assert "either --detector and --segmenter, or --model" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["depth", "inspect", "verify", "import"])
def test_a_store_of_another_version_is_refused_and_left_alone(
    dataset: LabelledDataset, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert dataset.depth("d", "--shard", "0/6") == 0
    store = dataset.root / "d"
    header = store / "header.json"
    header.write_text(json.dumps({**json.loads(header.read_text()), "version": 9}))
    before = {path.name: path.read_bytes() for path in store.iterdir()}
    capsys.readouterr()
    arguments = {
        "depth": dataset.depth_arguments("d"),
        "inspect": ["inspect", str(store)],
        "verify": ["verify", "--repair", str(store)],
        "import": ["import", "--depth", str(store), "--out", str(dataset.root / "out")],
    }
    assert main(arguments[command], script=SCRIPT) == 2
    error = capsys.readouterr().err.strip()
    assert f"'{header}': format version is 9, this program reads 1" in error
    assert len(error.splitlines()) == 1
    assert {path.name: path.read_bytes() for path in store.iterdir()} == before
    assert not (dataset.root / "out").exists()
