"""Batch norms melted into the convolutions before them: a third of an encoder's time on a CPU.

For inference only, by plain_runner; a GPU's fast way fuses more, see fused_convolution.
"""

from __future__ import annotations

import copy
import itertools

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from gfocc_core.model.image_encoder import ImageEncoder

_CHECKED = (1, 1, 3, 64, 64)
_TOLERANCE = 1e-3
"""Of the largest feature, on random images: float32 rounding over some fifty layers is below 1e-4."""


@torch.no_grad()
def folded(encoder: ImageEncoder) -> ImageEncoder:
    """A copy for inference that computes the same; the encoder itself where that fails.

    A norm that follows a convolution among a module's children is taken to follow it in the
    computation as well, which holds for ResNets and EfficientNets; whether it did is checked.
    """
    if not any(isinstance(module, nn.BatchNorm2d) for module in encoder.modules()):
        return encoder
    found = copy.deepcopy(encoder).eval()
    for module in found.backbone.modules():
        _fold_children(module)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(_CHECKED, generator=generator)
    for wanted, level in zip(encoder(images), found(images), strict=True):
        if not bool((level - wanted).abs().max() <= _TOLERANCE * wanted.abs().max()):
            return encoder
    return found


def fold_norm(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution that computes what both do."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    weight, bias = fuse_conv_bn_weights(
        convolution.weight,
        convolution.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
    )
    return weight.detach(), bias.detach()


def _fold_children(module: nn.Module) -> None:
    children = list(module.named_children())
    for (_, convolution), (name, norm) in itertools.pairwise(children):
        if not isinstance(convolution, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d):
            continue
        if convolution.out_channels != norm.num_features:
            continue
        weight, bias = fold_norm(convolution, norm)
        convolution.weight = nn.Parameter(weight, requires_grad=False)
        convolution.bias = nn.Parameter(bias, requires_grad=False)
        setattr(module, name, _rest_of(norm))


def _rest_of(norm: nn.BatchNorm2d) -> nn.Module:
    """What timm's norms do besides: an activation."""
    activation = getattr(norm, "act", None)
    return activation if isinstance(activation, nn.Module) else nn.Identity()
