"""A ResNet with fused convolutions computes what timm's does."""

from __future__ import annotations

import copy

import pytest
import timm
import torch
from torch import Tensor, nn

from gfocc_core.inference.fused_convolution import (
    ConvolutionSums,
    FusedConvolution,
    FusedStem,
)
from gfocc_core.inference.fused_resnet import FusedBlock, fuse_resnet


def norm_with_a_past(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels).eval()
    assert norm.running_mean is not None
    assert norm.running_var is not None
    nn.init.uniform_(norm.weight, 0.5, 1.5)
    nn.init.normal_(norm.bias, std=0.2)
    nn.init.normal_(norm.running_mean, std=0.2)
    nn.init.uniform_(norm.running_var, 0.5, 1.5)
    return norm


def assert_alike(found: Tensor, expected: Tensor) -> None:
    """Within bfloat16's rounding of sums of many products."""
    assert found.dtype == torch.bfloat16
    assert found.shape == expected.shape
    error = (found.float() - expected).norm() / expected.norm()
    assert error.item() < 0.01


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
def test_norm_residual_and_relu_are_inside(residual: bool, groups: int) -> None:
    torch.manual_seed(0)
    convolution = nn.Conv2d(8, 16, 3, 2, 1, groups=groups, bias=False)
    norm = norm_with_a_past(16)
    images = torch.randn(2, 8, 10, 14).bfloat16()
    added = torch.randn(2, 16, 5, 7).bfloat16() if residual else None
    expected = norm(convolution(images.float()))
    expected = (expected if added is None else expected + added.float()).relu()
    assert_alike(FusedConvolution(convolution, norm)(images, added), expected)


@pytest.mark.parametrize("residual", [False, True])
def test_what_cudnn_refuses_is_computed_in_parts(
    residual: bool, caplog: pytest.LogCaptureFixture
) -> None:
    torch.manual_seed(2)
    convolution, norm = nn.Conv2d(8, 16, 3, 1, 1, bias=False), norm_with_a_past(16)
    fused = FusedConvolution(convolution, norm)
    images = torch.randn(1, 8, 6, 6).bfloat16()  # on the CPU, where cuDNN refuses everything
    added = torch.randn(1, 16, 6, 6).bfloat16() if residual else None
    sums = ConvolutionSums(images, fused.weight, fused.bias, added, [1, 1], [1, 1], 1)
    found = sums.by_cudnn_or_parts()
    again = sums.by_cudnn_or_parts()
    expected = norm(convolution(images.float()))
    assert_alike(found, (expected if added is None else expected + added.float()).relu())
    assert torch.equal(found, again)
    assert caplog.text.count("runs in parts") == 1


@pytest.mark.parametrize(("kernel", "padding"), [(7, 3), (3, 1), (5, 2), (4, 1), (3, 0)])
@pytest.mark.parametrize("size", [(16, 24), (15, 21)])
def test_a_stem_of_two_by_two_pixels(kernel: int, padding: int, size: tuple[int, int]) -> None:
    torch.manual_seed(1)
    convolution = nn.Conv2d(3, 8, kernel, 2, padding, bias=False)
    norm = norm_with_a_past(8)
    images = torch.randn(2, 3, *size).bfloat16()
    assert FusedStem.takes(convolution)
    expected = norm(convolution(images.float())).relu()
    assert_alike(FusedStem(convolution, norm)(images), expected)


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv2d(3, 8, 3, 1, 1),
        nn.Conv2d(3, 8, (3, 5), 2, 1),
        nn.Conv2d(4, 8, 3, 2, 1, groups=2),
        nn.Conv2d(3, 8, 3, 2, (1, 0)),
        nn.Conv2d(3, 8, 3, 2, 1, dilation=2),
        nn.Conv2d(3, 8, 3, 2, "valid"),
    ],
)
def test_a_stem_that_is_no_such_convolution(convolution: nn.Conv2d) -> None:
    assert not FusedStem.takes(convolution)


def backbone_of(name: str) -> nn.Module:
    torch.manual_seed(2)
    backbone = timm.create_model(name, features_only=True, out_indices=(2, 3, 4)).eval()
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            past = norm_with_a_past(module.num_features)
            module.load_state_dict(past.state_dict())
    return backbone


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnetblur50"])
@torch.inference_mode()
def test_features_are_those_of_the_backbone(name: str) -> None:
    backbone = backbone_of(name)
    fused = copy.deepcopy(backbone)
    assert fuse_resnet(fused)
    assert isinstance(fused.conv1, FusedStem)
    kept = sum(isinstance(module, nn.ReLU) for module in fused.modules())
    assert bool(kept) == (name == "resnetblur50"), "blocks that blur are not fused"
    images = torch.randn(1, 3, 64, 96)
    with torch.autocast("cpu", torch.bfloat16):
        found = fused(images.bfloat16())
    for level, expected in zip(found, backbone(images), strict=True):
        error = (level.float() - expected).norm() / expected.norm()
        assert float(error) < 0.05


@torch.inference_mode()
def test_what_is_no_plain_resnet_stays_as_it_is() -> None:
    for name in ("efficientnet_lite0", "seresnet50"):
        backbone = timm.create_model(name, features_only=True)
        before = [type(module) for module in backbone.modules()]
        assert not fuse_resnet(backbone), name
        assert [type(module) for module in backbone.modules()] == before


def test_the_shortcut_of_a_block_is_kept() -> None:
    backbone = backbone_of("resnet18")
    blocks = backbone.layer2
    assert isinstance(blocks, nn.Sequential)
    assert fuse_resnet(backbone)
    assert all(isinstance(block, FusedBlock) for block in blocks)
    assert [getattr(block, "downsample", None) is None for block in blocks] == [False, True]


@pytest.mark.gpu
@torch.inference_mode()
def test_cudnn_computes_the_same() -> None:
    backbone = backbone_of("resnet50").cuda()
    fused = copy.deepcopy(backbone)
    assert fuse_resnet(fused)
    images = torch.randn(2, 3, 128, 352, device="cuda")
    with torch.autocast("cuda", torch.bfloat16):
        found = fused(images.bfloat16())
    for level, expected in zip(found, backbone(images), strict=True):
        error = (level.float() - expected).norm() / expected.norm()
        assert error.item() < 0.05
