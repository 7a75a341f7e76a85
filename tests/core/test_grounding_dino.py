"""Grounding DINO of both packages: what the packages themselves say, in any batch; bad files."""

from __future__ import annotations

import json
import shutil
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from gfocc_core.labelling.models import load_model
from gfocc_core.labelling.networks.grounding_dino import UNUSED_PARAMETERS
from gfocc_core.labelling.protocols import Detections, LabellingError
from tests.core.small_networks import SIZE, build_dino, pieces_of_real_images, specification

pytest.importorskip("groundingdino", reason="groundingdino-py is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

CPU = torch.device("cpu")
NETWORKS = ("grounding-dino", "grounding-dino-hf")
PHRASES = ("car", "traffic-cone", "bus", "tree", "building")
AS_THEY_ARE = (SIZE, round(SIZE * 1333 / 800))
"""Size of images that are not resized."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Name -> specification of small networks."""
    folder = tmp_path_factory.mktemp("dino")
    return {name: specification(name, folder / name) for name in NETWORKS}


@pytest.fixture(scope="module")
def images(keyframe_dir: Path) -> list[Tensor]:
    return pieces_of_real_images(keyframe_dir, *AS_THEY_ARE)


def make(specified: str, *options: str) -> Any:
    return load_model("detector", ",".join([specified, *options]), CPU)


def option(specified: str, name: str) -> Path:
    return Path(dict(pair.split("=") for pair in specified.split(",")[1:])[name])


def assert_same(found: Detections, wanted: Detections) -> None:
    assert found.phrases == wanted.phrases
    torch.testing.assert_close(found.scores, wanted.scores, rtol=0, atol=1e-4)
    torch.testing.assert_close(found.boxes, wanted.boxes, rtol=0, atol=0.02)


def between(scores: Tensor) -> float:
    """A threshold that the upper half of the scores is above, clearly."""
    ranked = scores.sort().values
    middle = len(ranked) // 2
    return float(ranked[middle - 1] + ranked[middle]) / 2


# agreement with the packages


@pytest.mark.keyframe
def test_the_package_of_its_authors_says_the_same(
    small: dict[str, str], images: list[Tensor], tmp_path: Path
) -> None:
    specified = small["grounding-dino"]
    text_encoder = tmp_path / "bert"
    shutil.copytree(option(specified, "text_encoder"), text_encoder)
    network: Any = build_dino(option(specified, "config"), text_encoder)
    state = torch.load(option(specified, "weights"), weights_only=True)["model"]
    assert f"module.{UNUSED_PARAMETERS[0]}" in state
    network.load_state_dict(
        {key.removeprefix("module."): value for key, value in state.items()}, False
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import groundingdino.datasets.transforms as transforms
        from groundingdino.util.utils import get_phrases_from_posmap

        prepare = transforms.Compose(
            [
                transforms.RandomResize([SIZE], max_size=AS_THEY_ARE[1]),
                transforms.ToTensor(),
                transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            ]
        )
        pixels, _ = prepare(Image.fromarray(images[0].numpy()), None)
        with torch.no_grad():
            said = network(pixels[None], captions=["traffic-cone."])
    scores = said["pred_logits"][0].sigmoid()
    box, text = between(scores.amax(-1)), between(scores[:, 1:-250].flatten())
    kept = scores.amax(-1) > box
    height, width = AS_THEY_ARE
    centre, extent = said["pred_boxes"][0][kept].split(2, -1)
    boxes = torch.cat([centre - extent / 2, centre + extent / 2], -1)
    tokens = network.tokenizer("traffic-cone.")
    phrases = [
        get_phrases_from_posmap(row > text, tokens, network.tokenizer)
        .replace("[CLS]", "")
        .replace("[SEP]", "")
        .replace(".", "")
        .strip()
        for row in scores[kept]
    ]
    (found,) = make(specified, f"box_threshold={box}", f"text_threshold={text}").detect(
        images[:1], ["traffic-cone"]
    )
    scale = torch.tensor([width, height, width, height])
    assert_same(found, Detections(boxes * scale, scores[kept].amax(-1), tuple(phrases)))
    assert len(set(phrases)) > 1


@pytest.mark.keyframe
def test_the_processor_of_transformers_says_the_same(
    small: dict[str, str], images: list[Tensor]
) -> None:
    import transformers

    specified = small["grounding-dino-hf"]
    folder = option(specified, "weights")
    network = transformers.GroundingDinoForObjectDetection.from_pretrained(folder).eval()
    processor = transformers.GroundingDinoProcessor(
        transformers.GroundingDinoImageProcessor(
            size={"shortest_edge": SIZE, "longest_edge": AS_THEY_ARE[1]}
        ),
        transformers.AutoTokenizer.from_pretrained(folder),
    )
    given = processor(images=images[0].numpy(), text="traffic-cone.", return_tensors="pt")
    with torch.no_grad():
        said = network(**given)
    box = between(said.logits[0].sigmoid().amax(-1))
    (wanted,) = processor.post_process_grounded_object_detection(
        said, given["input_ids"], threshold=box, text_threshold=0.2, target_sizes=[AS_THEY_ARE]
    )
    (found,) = make(specified, f"box_threshold={box}").detect(images[:1], ["traffic-cone"])
    assert len(found.phrases) == 10
    words = tuple(text.replace("[SEP]", "").strip(" .") for text in wanted["text_labels"])
    assert_same(found, Detections(wanted["boxes"], wanted["scores"], words))


# batches


@pytest.mark.keyframe
@pytest.mark.parametrize("name", NETWORKS)
def test_batches_change_nothing(name: str, small: dict[str, str], images: list[Tensor]) -> None:
    other = images[1][:100, :170]  # of another size: cameras may differ
    several = [images[0], other, images[2]]
    phrases = ("car", "traffic-cone", "bus")
    together = make(small[name], "batch=5").detect(several, phrases)
    one_query = make(small[name], "batch=1")
    for image, found in zip(several, together, strict=True):
        alone = [one_query.detect([image], [phrase])[0] for phrase in phrases]
        wanted = Detections(
            torch.cat([one.boxes for one in alone]),
            torch.cat([one.scores for one in alone]),
            tuple(phrase for one in alone for phrase in one.phrases),
        )
        assert len(wanted.phrases) > 10
        assert_same(found, wanted)


@pytest.mark.keyframe
@pytest.mark.parametrize("name", NETWORKS)
def test_half_precision_changes_little(
    name: str, small: dict[str, str], images: list[Tensor]
) -> None:
    half, plain = (
        make(small[name], "box_threshold=0", f"precision={precision}").detect(images[:2], PHRASES)
        for precision in ("float16", "float32")
    )
    for found, wanted in zip(half, plain, strict=True):
        moved = torch.cdist(found.boxes, wanted.boxes).amin(1)
        assert moved.median() < 0.5  # pixels; a candidate that fell out for another is far away
        difference = found.scores.sort().values - wanted.scores.sort().values
        assert 0 < difference.abs().median() < 0.01


@pytest.mark.keyframe
@pytest.mark.parametrize("name", NETWORKS)
def test_images_go_through_the_backbone_once(
    name: str, small: dict[str, str], images: list[Tensor]
) -> None:
    detector = make(small[name], "batch=2")
    passes: list[int] = []
    backbone = detector._network._features.backbone

    def count(module: nn.Module, given: Sequence[Any], made: Any) -> None:
        first = given[0]
        passes.append(len(first if isinstance(first, Tensor) else first.tensors))

    backbone.register_forward_hook(count)
    detector.detect(images[:3], PHRASES)
    assert passes == [3]


# thresholds


@pytest.mark.keyframe
def test_thresholds_choose_boxes_and_words(small: dict[str, str], images: list[Tensor]) -> None:
    specified = small["grounding-dino"]
    (every,) = make(specified, "box_threshold=0", "text_threshold=0").detect(
        images[:1], ["traffic-cone"]
    )
    assert len(every.phrases) == 20
    assert set(every.phrases) == {"traffic - cone"}
    (some,) = make(specified, "box_threshold=0.4", "text_threshold=1").detect(
        images[:1], ["traffic-cone"]
    )
    assert len(some.phrases) == int((every.scores > 0.4).sum()) > 0
    assert set(some.phrases) == {""}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_name_says_what_changes_labels(name: str, small: dict[str, str]) -> None:
    names = {
        make(small[name], *changes).name
        for changes in ((), ("box_threshold=0.3",), ("text_threshold=0.3",), ("batch=3",))
    }
    assert len(names) == 3
    assert all("size 128" in one for one in names)


# files


@pytest.mark.parametrize("name", NETWORKS)
def test_missing_weights_are_named_with_the_way_to_get_them(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GFOCC_WEIGHTS", str(tmp_path / "w"))
    file = {
        "grounding-dino": "groundingdino_swinb_cogcoor.pth",
        "grounding-dino-hf": "grounding-dino-base",
    }[name]
    with pytest.raises(LabellingError) as caught:
        make(name)
    said = str(caught.value)
    assert f"'{tmp_path / 'w' / file}' do not exist" in said
    assert "GFOCC_WEIGHTS" in said
    assert ("wget -O" if name == "grounding-dino" else "hf download IDEA-Research/") in said
    with pytest.raises(LabellingError, match="'/nowhere/x' do not exist"):
        make(name, "weights=/nowhere/x")


def test_a_missing_text_encoder_is_named(
    small: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GFOCC_WEIGHTS", str(tmp_path))
    weights = f"weights={option(small['grounding-dino'], 'weights')}"
    with pytest.raises(LabellingError, match="bert-base-uncased") as caught:
        make("grounding-dino", weights)
    assert "text_encoder=PATH" in str(caught.value)
    assert "hf download google-bert/bert-base-uncased" in str(caught.value)
    (tmp_path / "bert-base-uncased").mkdir()
    with pytest.raises(LabellingError, match=r"tokenizer .*bert-base-uncased' cannot be read"):
        make("grounding-dino", weights)


def test_weights_of_another_configuration_are_refused(small: dict[str, str]) -> None:
    specified = small["grounding-dino"].replace(
        f"config={option(small['grounding-dino'], 'config')}", "variant=swint"
    )
    with pytest.raises(LabellingError, match=r"not those of Grounding DINO Swin-T: it lacks "):
        make(specified)


def test_parameters_must_fit_one_by_one(small: dict[str, str], tmp_path: Path) -> None:
    specified = small["grounding-dino"]
    content = torch.load(option(specified, "weights"), weights_only=True)["model"]
    content["module.surplus"] = torch.zeros(1)
    content["module.feat_map.bias"] = torch.zeros(3)
    del content["module.feat_map.weight"]
    torch.save(content, tmp_path / "changed.pth")
    changed = specified.replace(str(option(specified, "weights")), str(tmp_path / "changed.pth"))
    with pytest.raises(LabellingError) as caught:
        make(changed)
    said = str(caught.value)
    assert "lacks feat_map.weight" in said
    assert "has unknown surplus" in said
    assert "feat_map.bias [3] for [256]" in said


# the package leaves the copy behind that it reads
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_configuration_that_is_none_is_named(small: dict[str, str], tmp_path: Path) -> None:
    specified = small["grounding-dino"]
    for text in ("hidden_dim = = 3", None):
        path = tmp_path / "wrong.py"
        path.write_text(text) if text else path.unlink()
        with pytest.raises(LabellingError, match=f"config '{path}': "):
            make(specified.replace(str(option(specified, "config")), str(path)))


def test_a_folder_of_transformers_must_fit(small: dict[str, str], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "changed"
    shutil.copytree(option(small["grounding-dino-hf"], "weights"), folder)
    state = load_file(folder / "model.safetensors")
    del state["model.text_projection.weight"]
    state["model.text_projection.bias"] = torch.zeros(3)
    state["surplus"] = torch.zeros(1)
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(LabellingError) as caught:
        make(f"grounding-dino-hf,weights={folder}")
    said = str(caught.value)
    assert "lacks model.text_projection.weight" in said
    assert "has unknown surplus" in said
    assert "has the wrong shape of model.text_projection.bias" in said
    (folder / "model.safetensors").write_bytes(b"no parameters")
    with pytest.raises(LabellingError, match=f"weights '{folder}' cannot be read"):
        make(f"grounding-dino-hf,weights={folder}")
    (folder / "config.json").write_text(json.dumps({"model_type": "sam"}))
    with pytest.raises(LabellingError, match="are of a 'sam', but Grounding DINO"):
        make(f"grounding-dino-hf,weights={folder}")
    (folder / "config.json").unlink()
    with pytest.raises(LabellingError, match=r"config.json cannot be read"):
        make(f"grounding-dino-hf,weights={folder}")


@pytest.mark.parametrize(
    ("name", "module", "package"),
    [
        ("grounding-dino", "groundingdino.util.slconfig", "--no-deps 'groundingdino-py'"),
        ("grounding-dino-hf", "transformers", "'transformers<5'"),
    ],
)
def test_a_missing_package_is_named(
    name: str, module: str, package: str, small: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(LabellingError, match=f"pip install {package}") as caught:
        make(small[name])
    assert "'.[labels]'" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ("box_threshold=2", "box_threshold must be a number in 0 to 1, got '2'"),
        ("text_threshold=x", "text_threshold must be a number"),
        ("size=0", "size must be a positive whole number"),
        ("batch=-1", "batch must be a positive whole number"),
        ("precision=int8", "precision must be one of float32, float16, bfloat16, got 'int8'"),
        ("variant=huge", "variant must be one of "),
    ],
)
@pytest.mark.parametrize("name", NETWORKS)
def test_an_option_that_is_wrong_is_named(name: str, changes: str, said: str) -> None:
    with pytest.raises(LabellingError, match=said):
        make(name, changes)


def test_images_too_small_for_the_network_are_refused(
    small: dict[str, str], images: list[Tensor]
) -> None:
    tiny = make(small["grounding-dino"].replace("size=128", "size=16"))
    with pytest.raises(LabellingError, match="size 16 makes images of 26x16: too small for the 20"):
        tiny.detect(images[:1], PHRASES)
