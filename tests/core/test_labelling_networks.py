"""What detectors share: weight files, options, sizes, phrases, boxes; and whole runs of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch import Tensor

from gfocc_core.data.index_file import write_index
from gfocc_core.data.label_store import LabelStore
from gfocc_core.data.nuscenes_index import build_index
from gfocc_core.labelling.cli import main
from gfocc_core.labelling.models import REGISTERED
from gfocc_core.labelling.networks.grounded_detection import GroundedDetector, GroundingOptions
from gfocc_core.labelling.networks.image_sizes import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    normalised,
    size_for_longest_side,
    size_for_shorter_side,
)
from gfocc_core.labelling.networks.phrase_queries import PhraseTokens, blank_tokenizer
from gfocc_core.labelling.networks.weight_files import (
    WeightSource,
    find_weights,
    fingerprint,
    weights_folder,
)
from gfocc_core.labelling.protocols import LabellingError
from tests.core.small_networks import specification, write_text_encoder

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

SCRIPT = Path(__file__).resolve().parents[2] / "training/generate_labels.py"
CPU = torch.device("cpu")
PHRASES = {
    "car": "car",
    "traffic-cone": "traffic_cone",
    "tree": "vegetation",
    "sky": "others",
}


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> PhraseTokens:
    folder = write_text_encoder(tmp_path_factory.mktemp("bert"))
    return PhraseTokens(transformers.AutoTokenizer.from_pretrained(folder))


# weight files


def test_weights_are_looked_for_in_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = WeightSource("A network", "a.pth", "wget -O '{target}' https://example.org/a.pth")
    monkeypatch.delenv("GFOCC_WEIGHTS", raising=False)
    assert weights_folder() == Path.home() / ".cache/gfocc/weights"
    monkeypatch.setenv("GFOCC_WEIGHTS", str(tmp_path))
    with pytest.raises(LabellingError) as caught:
        find_weights(source, None)
    assert str(caught.value) == (
        f"A network: its weights '{tmp_path}/a.pth' do not exist ($GFOCC_WEIGHTS is another folder "
        f"to look in); give weights=PATH, or get them: "
        f"wget -O '{tmp_path}/a.pth' https://example.org/a.pth"
    )
    (tmp_path / "a.pth").write_bytes(b"1")
    assert find_weights(source, None) == tmp_path / "a.pth"
    monkeypatch.chdir(tmp_path)
    assert find_weights(source, "a.pth") == tmp_path / "a.pth"


def test_a_fingerprint_follows_the_content(tmp_path: Path) -> None:
    folder = tmp_path / "network"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"1")
    (folder / "config.json").write_text("{}")
    found = {fingerprint(folder)}
    (folder / "README.md").write_text("not read")
    assert fingerprint(folder) in found
    (folder / "config.json").write_text("{ }")
    found.add(fingerprint(folder))
    (folder / "model.safetensors").write_bytes(b"2")
    found.add(fingerprint(folder))
    assert len(found) == 3
    assert all(one.startswith("network ") for one in found)


# sizes


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((900, 1600), (750, 1333)),
        ((1600, 900), (1333, 750)),
        ((1000, 1000), (800, 800)),
        ((800, 1200), (800, 1200)),
        ((480, 640), (800, 1066)),
        ((10, 10_000), (1, 1000)),
    ],
)
def test_the_shorter_side_is_800_and_none_above_1333(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert size_for_shorter_side(*size, 800, 1333) == expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [((900, 1600), (576, 1024)), ((1600, 901), (1024, 577)), ((1, 9000), (1, 1024))],
)
def test_the_longer_side_is_1024(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert size_for_longest_side(*size, 1024) == expected


def test_images_are_resized_as_pillow_does() -> None:
    random = np.random.default_rng(0)
    rough = random.integers(0, 256, (12, 20, 3), dtype=np.uint8)
    image = np.asarray(Image.fromarray(rough).resize((200, 120), Image.Resampling.NEAREST))
    for size in ((50, 83), (180, 300)):
        wanted = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))
        found = normalised(torch.from_numpy(image.copy()), size).permute(1, 2, 0)
        pixels = found * torch.tensor(IMAGENET_STD) + torch.tensor(IMAGENET_MEAN)
        assert np.abs(pixels.numpy() - wanted).max() < 1.5


# phrases


def test_only_texts_of_one_structure_share_a_batch(tokens: PhraseTokens) -> None:
    groups = tokens.groups(["car", "traffic-cone", "Bus", "tree"])
    assert [[query.caption for query in group] for group in groups] == [
        ["car.", "bus.", "tree."],
        ["traffic-cone."],
    ]
    assert [query.number for query in groups[0]] == [0, 2, 3]
    assert {len(query.ids) for query in groups[0]} == {4}


def test_matched_tokens_become_words(tokens: PhraseTokens) -> None:
    (query,) = tokens.groups(["traffic-cone"])[0]
    assert tokens.phrase(query.ids, [True] * 6) == "traffic - cone"
    assert tokens.phrase(query.ids, [True, False, False, True, True, True]) == "cone"
    assert tokens.phrase(query.ids, [False] * 6) == ""


def test_a_blank_tokenizer_keeps_the_ids_that_networks_know() -> None:
    ids = blank_tokenizer(transformers)("some car.")["input_ids"]
    assert ids == [101, 100, 100, 1012, 102]


# detection


class _White:
    """A GroundingNetwork that finds what is white; it tells queries apart by their last word."""

    candidates = 3

    def __init__(self, broken: bool = False) -> None:
        self.broken = broken
        self.queries: list[int] = []

    def encode(self, pixels: Tensor) -> Tensor:
        return pixels[:, 0] > 1

    def query(
        self, features: Tensor, rows: Tensor, captions: Sequence[str], ids: Tensor
    ) -> tuple[Tensor, Tensor]:
        self.queries.append(len(rows))
        boxes = torch.zeros(len(rows), self.candidates, 4)
        for number, white in enumerate(features[rows]):
            for axis, length in ((1, white.shape[0]), (0, white.shape[1])):
                there = white.any(axis).nonzero()
                low, high = float(there.min()), float(there.max()) + 1
                boxes[number, 1, axis] = (low + high) / 2 / length
                boxes[number, 1, axis + 2] = (high - low) / length
        logits = torch.full((len(rows), self.candidates, ids.shape[1]), -5.0)
        logits[:, 1, 1:] = ids[:, 1:] / 1000
        return logits * (torch.nan if self.broken else 1), boxes


def white_detector(network: _White, tokens: PhraseTokens, batch: str = "") -> GroundedDetector:
    options = GroundingOptions.parse(CPU, size="200", batch=batch)
    return GroundedDetector(network, tokens, "white", options)


def white_image(height: int, width: int) -> Tensor:
    """White from a quarter to a half of the height, a half to three quarters of the width."""
    image = torch.zeros(height, width, 3, dtype=torch.uint8)
    image[height // 4 : height // 2, width // 2 : width * 3 // 4] = 255
    return image


def test_boxes_are_in_pixels_of_images_of_any_size(tokens: PhraseTokens) -> None:
    sizes = [(900, 1600), (450, 800), (900, 1600), (300, 200), (200, 1200)]
    found = white_detector(_White(), tokens).detect([white_image(*size) for size in sizes], ["car"])
    for (height, width), one in zip(sizes, found, strict=True):
        wanted = torch.tensor([[width / 2, height / 4, width * 0.75, height / 2]])
        assert one.phrases == ("car",)
        torch.testing.assert_close(one.boxes, wanted, rtol=0, atol=max(height, width) / 100)


def test_queries_go_in_batches_and_come_in_the_order_of_phrases(tokens: PhraseTokens) -> None:
    network = _White()
    images = [white_image(90, 160)] * 3
    phrases = ["bus", "traffic-cone", "car"]
    found = white_detector(network, tokens, "4").detect(images, phrases)
    assert network.queries == [4, 2, 3]  # 3 images and 2 phrases of one word, then the other
    assert [one.phrases for one in found] == [("bus", "traffic - cone", "car")] * 3
    assert found[0].scores.argsort().tolist() == [2, 1, 0]  # larger ids, higher scores


def test_scores_that_are_no_numbers_are_an_error(tokens: PhraseTokens) -> None:
    with pytest.raises(
        LabellingError, match=r"white, .* returned scores that are no numbers in torch.float32"
    ):
        white_detector(_White(broken=True), tokens).detect([white_image(90, 160)], ["car"])


# whole runs


@pytest.mark.keyframe
@pytest.mark.parametrize(
    ("detector", "segmenter"), [("grounding-dino", "sam"), ("grounding-dino-hf", "sam-hf")]
)
def test_the_real_keyframe_is_labelled_by_a_registered_pair(
    detector: str,
    segmenter: str,
    keyframe_dir: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("groundingdino", reason="groundingdino-py is not installed")
    pytest.importorskip("segment_anything", reason="segment-anything is not installed")
    assert detector in REGISTERED["detector"]
    assert segmenter in REGISTERED["segmenter"]
    version = next(path.parent.name for path in sorted(keyframe_dir.glob("*/scene.json")))
    write_index(tmp_path / "index", *build_index(keyframe_dir, version))
    classes = yaml.safe_load((SCRIPT.parent / "configs/vocabulary.yaml").read_text())["classes"]
    words = tmp_path / "words.yaml"
    words.write_text(yaml.safe_dump({"classes": classes, "phrases": PHRASES}))
    networks = {
        role: specification(name, tmp_path / role)
        for role, name in (("detector", detector), ("segmenter", segmenter))
    }

    def run(out: str, *options: str) -> int:
        command = ["semantics", "--dataroot", str(keyframe_dir), "--index", str(tmp_path / "index")]
        command += ["--out", str(tmp_path / out), "--vocabulary", str(words), "--device", "cpu"]
        for role, name in networks.items():
            command += [f"--{role}", ",".join([name, *options])]
        return main([*command, "--raster", "64x176"], script=SCRIPT)

    assert run("labels") == 0
    assert "1 keyframes written" in capsys.readouterr().out
    store = LabelStore.open(tmp_path / "labels")
    (token,) = store.tokens()
    labels = store.read(token).semantics
    assert labels.shape == (6, 64, 176)
    found = {classes[number] for number in np.unique(labels)}
    assert len(found & set(PHRASES.values())) >= 2
    assert found <= {"others", *PHRASES.values()}
    assert all((camera > 0).any() for camera in labels)
    made_by = store.header.models["semantics"]
    assert "Grounding DINO" in made_by
    assert "SAM" in made_by
    assert "box 0.2, text 0.2" in made_by

    assert run("labels") == 0
    assert "1 were there" in capsys.readouterr().out
    assert run("alone", "batch=1") == 0
    alone: Any = LabelStore.open(tmp_path / "alone").read(token).semantics
    assert (alone == labels).mean() > 0.999
