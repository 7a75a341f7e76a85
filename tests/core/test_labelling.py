"""What networks say becomes labels where training looks for them: merge, phrases, scale, raster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gfocc_core.config import ImageConfig
from gfocc_core.data.augmentation import NO_AUGMENTATION, draw_placement
from gfocc_core.data.image_warp import warp_image
from gfocc_core.data.training_dataset import WEAK_VOCABULARY
from gfocc_core.data.weak_labels import LabelGeometry
from gfocc_core.labelling.depth import NetworkDepth
from gfocc_core.labelling.models import load_model, parse_specification
from gfocc_core.labelling.protocols import Detections, LabellingError
from gfocc_core.labelling.raster import bilinear_on_raster, nearest_on_raster
from gfocc_core.labelling.semantics import NetworkSemantics, PhraseSemantics, merge_masks
from gfocc_core.labelling.vocabulary import PhraseVocabulary, normal_phrase, read_vocabulary

ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")
DEFAULT = ROOT / "training/configs/vocabulary.yaml"
RASTER = ImageConfig(height=16, width=32)


def geometry_of(*sizes: tuple[int, int], raster: ImageConfig = RASTER) -> LabelGeometry:
    return LabelGeometry.covering({f"c{n}": size for n, size in enumerate(sizes)}, raster)


def black(geometry: LabelGeometry) -> list[Tensor]:
    return [torch.zeros(*camera.image_size, 3, dtype=torch.uint8) for camera in geometry.cameras]


# merge


def test_the_highest_score_wins_where_masks_overlap() -> None:
    masks = torch.zeros(3, 1, 6, dtype=torch.bool)
    masks[0, 0, 0:3] = masks[1, 0, 1:5] = masks[2, 0, 2:4] = True
    merged = merge_masks(masks, torch.tensor([0.5, 0.3, 0.9]), [4, 11, 7])
    assert merged.tolist() == [[4, 4, 7, 7, 11, 0]]
    assert merged.dtype == torch.uint8


def test_the_first_of_equal_scores_wins() -> None:
    masks = torch.ones(3, 2, 2, dtype=torch.bool)
    assert merge_masks(masks, torch.tensor([0.4, 0.4, 0.1]), [5, 6, 7]).unique().tolist() == [5]


def test_a_class_without_label_takes_pixels_from_lower_scores() -> None:
    masks = torch.ones(2, 1, 2, dtype=torch.bool)
    masks[0, 0, 1] = False
    assert merge_masks(masks, torch.tensor([0.9, 0.5]), [0, 16]).tolist() == [[0, 16]]


# phrases


class HandMade:
    """Detections and masks written down by a test; one row of images per call."""

    name = "by hand"

    def __init__(self, detections: list[Detections], masks: list[Tensor]) -> None:
        self.detections, self.masks = detections, masks
        self.asked: Sequence[str] = ()
        self.encoded = 0
        self.boxes: Sequence[Tensor] = ()

    def detect(self, images: Sequence[Tensor], phrases: Sequence[str]) -> list[Detections]:
        self.asked = phrases
        return self.detections

    def encode(self, images: Sequence[Tensor]) -> int:
        self.encoded += len(images)
        return len(images)

    def segment(self, features: Any, boxes: Sequence[Tensor]) -> list[Tensor]:
        assert features == len(boxes)
        self.boxes = boxes
        return self.masks


def detections(*found: tuple[str, float]) -> Detections:
    boxes = torch.arange(4 * len(found)).float().view(-1, 4)
    return Detections(boxes, torch.tensor([s for _, s in found]), tuple(p for p, _ in found))


def test_only_known_phrases_above_the_threshold_reach_the_segmenter() -> None:
    geometry = geometry_of((32, 64), (32, 64))
    full, left = torch.ones(1, 32, 64), torch.ones(2, 32, 64)
    left[1, :, 32:] = -1
    hand = HandMade(
        [
            detections(("car van", 0.9), ("tree", 0.5), ("bus", 0.19)),
            detections(("Street.", 0.3), ("traffic - cone", 0.6)),
        ],
        [full, left],
    )
    labeller = PhraseSemantics(hand, hand, read_vocabulary(DEFAULT), CPU)
    labels = labeller.label(black(geometry), geometry, torch.eye(3).expand(2, 3, 3))
    assert [boxes.tolist() for boxes in hand.boxes] == [
        [[4, 5, 6, 7]],
        [[0, 1, 2, 3], [4, 5, 6, 7]],
    ]
    assert labels[0].unique().tolist() == [16]
    assert labels[1, :, :16].unique().tolist() == [8]
    assert labels[1, :, 16:].unique().tolist() == [11]
    assert hand.encoded == 2
    assert len(hand.asked) == len(read_vocabulary(DEFAULT).phrases)
    assert labeller.remarks() == (
        "1 detections dropped, since the vocabulary lacks their phrases: 'car van' 1",
    )


def test_a_keyframe_without_detections_has_no_labels_and_is_not_encoded() -> None:
    geometry = geometry_of((32, 64))
    hand = HandMade([detections(("car", 0.1))], [])
    labeller = PhraseSemantics(hand, hand, read_vocabulary(DEFAULT), CPU)
    assert not labeller.label(black(geometry), geometry, torch.eye(3)[None]).any()
    assert hand.encoded == 0
    assert labeller.remarks() == ()


def test_a_segmenter_with_too_few_masks_is_named() -> None:
    geometry = geometry_of((32, 64))
    hand = HandMade([detections(("car", 0.9), ("bus", 0.8))], [torch.ones(1, 8, 8)])
    labeller = PhraseSemantics(hand, hand, read_vocabulary(DEFAULT), CPU)
    with pytest.raises(LabellingError, match=r"must return \[2, h, w\] for 2 boxes, got \[1, 8, 8"):
        labeller.label(black(geometry), geometry, torch.eye(3)[None])


def test_the_name_changes_with_what_changes_labels() -> None:
    hand, words = HandMade([], []), read_vocabulary(DEFAULT)
    fewer = PhraseVocabulary(words.classes, {"car": "car"})
    names = {
        PhraseSemantics(hand, hand, vocabulary, CPU, threshold).name
        for vocabulary in (words, fewer)
        for threshold in (0.2, 0.3)
    }
    assert len(names) == 4


def test_the_default_vocabulary_is_that_of_training() -> None:
    vocabulary = read_vocabulary(DEFAULT)
    assert vocabulary.classes == WEAK_VOCABULARY
    assert len(vocabulary.phrases) == 42
    assert vocabulary.id_of("sky") == 0
    assert vocabulary.id_of("jeep") == 4
    assert vocabulary.id_of("elephant") is None
    covered = {vocabulary.id_of(phrase) for phrase in vocabulary.phrases}
    assert covered == set(range(17))


@pytest.mark.parametrize(
    ("raw", "normal"),
    [(" Traffic - Cone ", "traffic-cone"), ("traffic-cone.", "traffic-cone"), ("a  b", "a b")],
)
def test_phrases_are_compared_as_tokenizers_write_them(raw: str, normal: str) -> None:
    assert normal_phrase(raw) == normal


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("classes: [none, car]\nphrases: {car: lorry}", "means 'lorry', which classes lacks"),
        ("classes: [none, car]\nphrases: {}", "phrases is empty"),
        ("classes: [none]\nphrases: {car: none}", "2 to 256"),
        ("classes: [car, car]\nphrases: {car: car}", "'car' twice"),
        ("classes: [none, car]\nphrases: {car: car, car: none}", "'car' stands there twice"),
        ("classes: [none, car]\nphrases: {Car: car}", "must be written 'car'"),
        ("classes: [none, car]\nphrases: {on: car}", "must map phrases to names"),
        ("classes: 3\nphrases: {}", "must be a list"),
        ("classes: [a, b]", "two entries"),
        ("classes: [a", "vocabulary"),
    ],
)
def test_an_unusable_vocabulary_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "words.yaml"
    path.write_text(text)
    with pytest.raises(LabellingError, match=said) as caught:
        read_vocabulary(path)
    assert str(path) in str(caught.value)


def test_detections_of_unequal_length_are_refused() -> None:
    with pytest.raises(LabellingError, match=r"2 phrases need boxes \[2, 4\]"):
        Detections(torch.zeros(1, 4), torch.zeros(2), ("a", "b"))


# raster


@pytest.mark.parametrize(("size", "raster"), [((900, 1600), (256, 704)), ((36, 64), (32, 32))])
def test_labels_lie_where_training_puts_the_image(
    size: tuple[int, int], raster: tuple[int, int]
) -> None:
    config = ImageConfig(height=raster[0], width=raster[1])
    camera = geometry_of(size, raster=config).cameras[0]
    rows, columns = np.mgrid[: size[0], : size[1]]
    ramp = (columns + 3 * rows).astype(np.float32)
    placement = draw_placement(np.random.default_rng(0), size, config, NO_AUGMENTATION)
    expected: Any = np.empty((3, *raster), np.float32)
    pixels: Any = np.repeat(ramp[..., None], 3, 2)
    warp_image(pixels, 1.0, placement, expected)
    inner = (slice(2, -2), slice(2, -2))  # at the border the image blends with black
    for resample, pixel in ((nearest_on_raster, 0.55), (bilinear_on_raster, 0.05)):
        found = resample(torch.from_numpy(ramp)[None], camera, raster)[0].numpy()
        np.testing.assert_allclose(found[inner], expected[0][inner], atol=4 * pixel)


def test_a_map_of_any_size_covers_the_whole_image() -> None:
    camera = geometry_of((90, 160)).cameras[0]
    x = (torch.arange(40) + 0.5) * 4
    coarse = bilinear_on_raster(x.expand(1, 30, 40), camera, (16, 32))[0]
    centers = (torch.arange(32) + 0.5 + camera.left) / camera.scale
    inner = (centers > 2) & (centers < 158)
    torch.testing.assert_close(coarse[5, inner], centers[inner])
    picked = nearest_on_raster(torch.arange(40).expand(1, 30, 40), camera, (16, 32))[0]
    assert picked[3].tolist() == (centers / 4).floor().long().tolist()


def test_outside_the_image_there_is_no_label() -> None:
    # a raster that reaches beyond the image on all sides
    camera = geometry_of((10, 20), raster=ImageConfig(height=10, width=20)).cameras[0]
    camera = type(camera)(camera.name, camera.image_size, 1.0, -3, -2)
    ones = torch.ones(1, 5, 5)
    inside = torch.zeros(14, 26, dtype=torch.bool)
    inside[2:12, 3:23] = True
    assert torch.equal(nearest_on_raster(ones, camera, (14, 26))[0] > 0, inside)
    assert torch.equal(bilinear_on_raster(ones, camera, (14, 26))[0].isfinite(), inside)


def test_a_class_network_that_returns_impossible_ids_is_named() -> None:
    class Wrong:
        name = "wrong"

        def classify(self, images: Sequence[Tensor], classes: Sequence[str]) -> list[Tensor]:
            return [torch.full((4, 4), len(classes))] * len(images)

    geometry = geometry_of((32, 64))
    labeller = NetworkSemantics(Wrong(), read_vocabulary(DEFAULT), CPU)
    with pytest.raises(LabellingError, match="ids 0 to 16, got 17 to 17"):
        labeller.label(black(geometry), geometry, torch.eye(3)[None])


# depth


def intrinsics(*focals: float) -> Tensor:
    matrices = torch.eye(3, dtype=torch.float64).repeat(len(focals), 1, 1)
    matrices[:, 0, 0] = matrices[:, 1, 1] = torch.tensor(focals, dtype=torch.float64)
    return matrices


def test_depth_is_clamped_and_what_is_no_number_becomes_no_label() -> None:
    class Odd:
        name = "odd"

        def estimate(self, images: Sequence[Tensor], intrinsics: Tensor) -> list[Tensor]:
            metres = torch.full((32, 64), 20.0)
            metres[:, :16], metres[:, 16:32], metres[:8, 48:] = 1e4, -3.0, torch.nan
            metres[8:16, 48:] = torch.inf
            return [metres.half()]

    geometry = geometry_of((32, 64))
    found = NetworkDepth(Odd(), CPU).label(black(geometry), geometry, intrinsics(50))[0]
    assert found.dtype == torch.float32
    assert found[:, :7].unique().tolist() == [300.0]
    assert found[:, 9:15].unique().tolist() == [0.0]
    assert found[:7, 25:].unique().tolist() == [0.0]
    assert found[9:, 17:].unique().tolist() == [20.0]


# models


@pytest.mark.parametrize(
    ("role", "specification", "said"),
    [
        ("depth", "metric", "neither module:factory nor registered"),
        ("depth", "nowhere.at_all:make", "cannot be imported"),
        ("depth", "tests.core.label_plugins:nothing", "has no 'nothing'"),
        ("depth", "tests.core.label_plugins:random_depth,size=3", "'size'"),
        ("depth", "tests.core.label_plugins:random_depth,seed", "must be option=value"),
        ("depth", "tests.core.label_plugins:random_depth,seed=1,seed=2", "each option once"),
        ("detector", "tests.core.label_plugins:random_depth", "CanonicalDepth, which is no Phrase"),
    ],
)
def test_an_unusable_model_is_named(role: Any, specification: str, said: str) -> None:
    with pytest.raises(LabellingError, match=said):
        load_model(role, specification, CPU)


def test_options_follow_a_models_name() -> None:
    name, options = parse_specification("m:f,weights=/a=b/c.pt,size=3")
    assert (name, options) == ("m:f", {"weights": "/a=b/c.pt", "size": "3"})
    model = load_model("depth", "tests.core.label_plugins:random_depth,seed=7", CPU)
    assert model.name == "random 7"
