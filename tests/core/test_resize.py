"""All cameras to one input: the sums of taps against torch's antialiased resize, then the kernel."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from gfocc_core.config import ImageConfig
from gfocc_core.inference.resize import (
    PackedImages,
    pack_images,
    plan_resize,
    resize_images,
)
from gfocc_core.preprocess import place_image
from tests.core.interpreted import problems_when_interpreted

INPUT = ImageConfig(height=20, width=48)
RIGS = {
    "shrunk": ((90, 160), (90, 160)),
    "mixed": ((37, 50), (90, 160), (20, 48)),
    "enlarged": ((7, 11),),
    "one pixel": ((1, 1),),
    "cut at the sides": ((30, 200),),
}


def filled(sizes: tuple[tuple[int, int], ...], device: str = "cpu") -> tuple[PackedImages, list]:
    """Packed random images and the whole images they are of."""
    generator = torch.Generator().manual_seed(0)
    plan = plan_resize(sizes, INPUT)
    packed = pack_images(sizes, plan, torch.device(device))
    packed.pixels.fill_(255)  # what lies past the last image must not count
    whole = []
    for index, size in enumerate(sizes):
        image = torch.randint(0, 256, (*size, 3), generator=generator, dtype=torch.uint8)
        packed.camera(index).copy_(image[plan.first_rows[index] :])
        whole.append(image)
    return packed, whole


def by_torch(image: Tensor) -> Tensor:
    """[3, height, width] of one whole image, as preprocess does it on a GPU."""
    place = place_image((image.shape[0], image.shape[1]), INPUT)
    pixels = image.permute(2, 0, 1)[None].float()
    pixels = F.interpolate(pixels, place.resized, mode="bilinear", antialias=True)[0]
    pixels = pixels[:, place.top : place.top + INPUT.height]
    pixels = pixels[..., place.left : place.left + INPUT.width]
    mean, std = torch.tensor(INPUT.mean), torch.tensor(INPUT.std)
    return (pixels - mean.view(3, 1, 1)) / std.view(3, 1, 1)


def compare_with_torch(
    sizes: tuple[tuple[int, int], ...],
    dtype: torch.dtype = torch.float32,
    missing: int | None = None,
    device: str = "cpu",
) -> None:
    packed, whole = filled(sizes, device)
    valid = torch.tensor([float(index != missing) for index in range(len(sizes))], device=device)
    plan = plan_resize(sizes, INPUT).to(torch.device(device))
    shape = (len(sizes), INPUT.height, INPUT.width, 3)
    found = torch.full(shape, torch.nan, dtype=dtype, device=device)
    resize_images(packed, valid, plan, found)
    tolerance = 2e-5 if dtype == torch.float32 else 0.02
    for index, image in enumerate(whole):
        wanted = torch.zeros(()) if index == missing else by_torch(image)
        error = (found[index].permute(2, 0, 1).float().cpu() - wanted).abs().max()
        assert float(error) < tolerance, (index, float(error))


@pytest.mark.parametrize("rig", RIGS.values(), ids=RIGS.keys())
def test_taps_sum_up_to_torchs_resize(rig: tuple[tuple[int, int], ...]) -> None:
    compare_with_torch(rig)


def test_missing_camera_is_zero_and_half_precision_is_a_rounding() -> None:
    compare_with_torch(RIGS["mixed"], torch.bfloat16, missing=1)


def test_rows_above_the_crop_are_not_needed() -> None:
    plan = plan_resize(((900, 1600),), ImageConfig(height=256, width=704))
    assert plan.first_rows == (317,)
    assert pack_images(((900, 1600),), plan, torch.device("cpu")).sizes == ((583, 1600),)


def test_kernel_equals_torch_in_the_interpreter(tmp_path: Path) -> None:
    calls = (
        "compare_with_torch(RIGS['mixed'], missing=0)",
        "compare_with_torch(RIGS['cut at the sides'], torch.bfloat16)",
    )
    assert problems_when_interpreted(__name__, calls, tmp_path) == dict.fromkeys(calls)


@pytest.mark.gpu
@pytest.mark.parametrize("rig", RIGS.values(), ids=RIGS.keys())
def test_kernel_equals_torch_on_the_gpu(rig: tuple[tuple[int, int], ...]) -> None:
    compare_with_torch(rig, device="cuda")
    compare_with_torch(rig, torch.bfloat16, missing=0, device="cuda")
