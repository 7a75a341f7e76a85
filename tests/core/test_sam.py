"""SAM of both packages: the packages' own masks, in any batch and image size; bad files."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from gfocc_core.labelling.models import load_model
from gfocc_core.labelling.networks.sam import SHAPES, SamShape, build_sam
from gfocc_core.labelling.networks.sam_segmentation import SamSegmenter
from gfocc_core.labelling.protocols import LabellingError
from tests.core.small_networks import SAM_SIDE, pieces_of_real_images, specification

pytest.importorskip("segment_anything", reason="segment-anything is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

CPU = torch.device("cpu")
NETWORKS = ("sam", "sam-hf")
AS_THEY_ARE = (SAM_SIDE * 3 // 4, SAM_SIDE)
"""Size of images that are not resized."""
BOXES = torch.tensor([[10.0, 20, 100, 90], [0, 0, 255, 191], [120, 60, 180, 170]])


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Name -> specification of small networks."""
    folder = tmp_path_factory.mktemp("sam")
    return {name: specification(name, folder / name) for name in NETWORKS}


@pytest.fixture(scope="module")
def images(keyframe_dir: Path) -> list[Tensor]:
    return pieces_of_real_images(keyframe_dir, *AS_THEY_ARE)


def make(specified: str, *options: str) -> Any:
    return load_model("segmenter", ",".join([specified, *options]), CPU)


def weights_of(specified: str) -> Path:
    return Path(specified.partition("weights=")[2])


def assert_same_masks(found: Tensor, wanted: Tensor) -> None:
    """Of the wanted logits, the last rows blend with what lies below the image."""
    assert found.shape == (3, AS_THEY_ARE[0] // 4, AS_THEY_ARE[1] // 4)
    full = F.interpolate(found[None], AS_THEY_ARE, mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(full[:, :-2], wanted[:, :-2], rtol=1e-4, atol=1e-4)
    assert len(full.sign().unique()) > 1


@pytest.mark.keyframe
def test_the_package_of_its_authors_cuts_the_same(
    small: dict[str, str], images: list[Tensor]
) -> None:
    from segment_anything import SamPredictor, modeling

    path = weights_of(small["sam"])
    state = torch.load(path, weights_only=True)
    network = build_sam(modeling, SamShape(32, 2, 2, (1,), SAM_SIDE)).eval()
    network.load_state_dict(state)
    predictor = SamPredictor(network)
    predictor.set_image(images[0].numpy())
    wanted, _, _ = predictor.predict_torch(
        None, None, BOXES, multimask_output=False, return_logits=True
    )
    segmenter = make(small["sam"])
    assert SamShape.of(state, path) == SamShape(32, 2, 2, (1,), SAM_SIDE)
    (found,) = segmenter.segment(segmenter.encode(images[:1]), [BOXES])
    assert_same_masks(found, wanted[:, 0])


@pytest.mark.keyframe
def test_the_processor_of_transformers_cuts_the_same(
    small: dict[str, str], images: list[Tensor]
) -> None:
    import transformers

    network = transformers.SamModel.from_pretrained(weights_of(small["sam-hf"])).eval()
    processor = transformers.SamProcessor(
        transformers.SamImageProcessor(
            size={"longest_edge": SAM_SIDE}, pad_size={"height": SAM_SIDE, "width": SAM_SIDE}
        )
    )
    given = processor(images[0].numpy(), input_boxes=[BOXES.tolist()], return_tensors="pt")
    sizes = given.pop("original_sizes"), given.pop("reshaped_input_sizes")
    with torch.no_grad():
        said = network(**given, multimask_output=False).pred_masks
    pad = {"height": SAM_SIDE, "width": SAM_SIDE}
    (wanted,) = processor.image_processor.post_process_masks(
        said, *sizes, binarize=False, pad_size=pad
    )
    segmenter = make(small["sam-hf"])
    (found,) = segmenter.segment(segmenter.encode(images[:1]), [BOXES])
    assert_same_masks(found, wanted[:, 0])


@pytest.mark.parametrize("variant", sorted(SHAPES))
def test_published_shapes_are_read_off_their_parameters(variant: str) -> None:
    from segment_anything import modeling, sam_model_registry

    with torch.device("meta"):
        wanted = sam_model_registry[variant]().state_dict()
        found = build_sam(modeling, SHAPES[variant]).state_dict()
    assert SamShape.of(wanted, Path("file")) == SHAPES[variant]
    shapes = {name: value.shape for name, value in found.items()}
    assert shapes == {name: value.shape for name, value in wanted.items()}


@pytest.mark.keyframe
@pytest.mark.parametrize("name", NETWORKS)
def test_batches_change_nothing(name: str, small: dict[str, str], images: list[Tensor]) -> None:
    several = [images[0], images[1][:90, :140], images[2]]
    boxes = [BOXES, BOXES[:2] / 2, torch.zeros(0, 4)]
    segmenter = make(small[name], "batch=3", "boxes=2")
    together = segmenter.segment(segmenter.encode(several), boxes)
    alone = make(small[name], "batch=1", "boxes=1")
    assert [len(masks) for masks in together] == [3, 2, 0]
    for number in (0, 1):
        (wanted,) = alone.segment(alone.encode([several[number]]), [boxes[number]])
        torch.testing.assert_close(together[number], wanted, rtol=1e-4, atol=1e-4)


class _Filled:
    """A SamNetwork whose mask is what is white inside the box: coordinates show, nothing else."""

    side = 64

    def encode(self, pixels: Tensor) -> Tensor:
        return F.avg_pool2d(pixels, 4)[:, :1]

    def masks(self, embedding: Tensor, boxes: Tensor) -> Tensor:
        rows = (torch.arange(16)[:, None] + 0.5) * 4
        columns = (torch.arange(16) + 0.5) * 4
        left, top, right, bottom = boxes.T[..., None, None]
        inside = (columns > left) & (columns < right) & (rows > top) & (rows < bottom)
        return torch.where(inside & (embedding[0] > 1), 1.0, -1.0)


@pytest.mark.parametrize(("height", "width"), [(90, 160), (160, 90), (91, 160), (64, 64), (20, 31)])
def test_masks_lie_where_boxes_do_in_images_of_any_size(height: int, width: int) -> None:
    image = torch.zeros(height, width, 3, dtype=torch.uint8)
    image[height // 4 :, : width // 2] = 255
    segmenter = SamSegmenter(_Filled(), "filled", CPU, "", "1")
    box = torch.tensor([[0.0, 0, width, height * 0.75], [width * 0.6, 0, width, height]])
    (masks,) = segmenter.segment(segmenter.encode([image]), [box])
    wanted = torch.zeros(2, height, width)
    wanted[0, height // 4 : height * 3 // 4, : width // 2] = 1
    full = F.interpolate(masks[None], (height, width), mode="bilinear", align_corners=False)[0] > 0
    overlap = (full[0] & (wanted[0] > 0)).sum() / (full[0] | (wanted[0] > 0)).sum()
    assert overlap > 0.8
    assert not full[1].any()
    assert masks.shape[1] / masks.shape[2] == pytest.approx(height / width, rel=0.1)


# files


@pytest.mark.parametrize("name", NETWORKS)
def test_missing_weights_are_named_with_the_way_to_get_them(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GFOCC_WEIGHTS", str(tmp_path))
    file = {"sam": "sam_vit_l_0b3195.pth", "sam-hf": "sam-vit-large"}[name]
    with pytest.raises(LabellingError) as caught:
        make(name, "variant=" + {"sam": "vit_l", "sam-hf": "large"}[name])
    said = str(caught.value)
    assert f"'{tmp_path / file}' do not exist" in said
    assert ("dl.fbaipublicfiles.com" if name == "sam" else "hf download facebook/") in said


def test_files_that_are_no_weights_are_refused(small: dict[str, str], tmp_path: Path) -> None:
    whole = weights_of(small["sam"]).read_bytes()
    path = tmp_path / "damaged.pth"
    for content in (whole[: len(whole) // 2], b"", b"no weights"):
        path.write_bytes(content)
        with pytest.raises(LabellingError, match=f"weights '{path}' cannot be read: "):
            make(f"sam,weights={path}")
    torch.save([torch.zeros(3)], path)
    with pytest.raises(LabellingError, match="hold no parameters by name"):
        make(f"sam,weights={path}")
    torch.save({"layer.weight": torch.zeros(3)}, path)
    with pytest.raises(LabellingError, match="are not those of a SAM"):
        make(f"sam,weights={path}")


def test_pickled_code_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "code.pth"
    torch.save({"layer": Touch(tmp_path / "ran")}, path)
    with pytest.raises(LabellingError, match="cannot be read"):
        make(f"sam,weights={path}")
    assert not (tmp_path / "ran").exists()


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_parameters_must_fit_one_by_one(small: dict[str, str], tmp_path: Path) -> None:
    state = torch.load(weights_of(small["sam"]), weights_only=True)
    state["mask_decoder.iou_token.weight"] = torch.zeros(2, 256)
    state["surplus"] = torch.zeros(1)
    del state["prompt_encoder.no_mask_embed.weight"]
    path = tmp_path / "changed.pth"
    torch.save(state, path)
    with pytest.raises(LabellingError) as caught:
        make(f"sam,weights={path}")
    said = str(caught.value)
    assert "lacks prompt_encoder.no_mask_embed.weight" in said
    assert "has unknown surplus" in said
    assert "mask_decoder.iou_token.weight [2, 256] for [1, 256]" in said


def test_a_folder_of_another_network_is_refused(small: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "sam"
    shutil.copytree(weights_of(small["sam-hf"]), folder)
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"model_type": "sam"', '"model_type": "sam2"'))
    with pytest.raises(LabellingError, match="are of a 'sam2', but SAM"):
        make(f"sam-hf,weights={folder}")


@pytest.mark.parametrize(
    ("name", "module", "package"),
    [
        ("sam", "segment_anything.modeling", "segment-anything"),
        ("sam-hf", "transformers", "transformers<5"),
    ],
)
def test_a_missing_package_is_named(
    name: str, module: str, package: str, small: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(LabellingError, match=f"pip install '{package}'"):
        make(small[name])


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("changes", ["batch=0", "boxes=x", "variant=tiny"])
def test_an_option_that_is_wrong_is_named(name: str, changes: str, small: dict[str, str]) -> None:
    with pytest.raises(LabellingError, match=f"{changes.partition('=')[0]} must be "):
        make(small[name], changes)
