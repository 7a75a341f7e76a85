"""A copy of the network made fast: weights in bfloat16, channels last, compiled."""

from __future__ import annotations

import copy

import torch
from torch import nn

from gfocc_core.inference.config import InferenceConfig
from gfocc_core.inference.fast_layers import CoordinateLinear, HalfLinear, PaddedLinear
from gfocc_core.inference.fused_resnet import fuse_resnet
from gfocc_core.inference.sampling_operator import sample_as_operator
from gfocc_core.model import GaussianFlowNetwork
from gfocc_core.model.decoder import PositionEncoding
from gfocc_core.model.image_cross_attention import ImageCrossAttention

_MODES = {"default": "default", "max-autotune": "max-autotune-no-cudagraphs"}


def prepare_network(
    network: GaussianFlowNetwork, inference: InferenceConfig
) -> GaussianFlowNetwork:
    """A copy for inference; the network itself stays as it is.

    In bfloat16 it must run under autocast, which casts what flows between its parts.
    """
    prepared = copy.deepcopy(network).eval().requires_grad_(False)
    prepared.encoder.to(memory_format=torch.channels_last)
    if inference.precision == "bfloat16":
        _halve(prepared)
    if inference.compile != "off":
        _compile(prepared, _MODES[inference.compile])
    return prepared


def _halve(network: GaussianFlowNetwork) -> None:
    """Matrices to bfloat16 once, instead of by autocast in every frame."""
    fuse_resnet(network.encoder.backbone)
    for module in network.modules():
        if isinstance(module, nn.MultiheadAttention):
            for name in ("in_proj_weight", "in_proj_bias"):
                parameter = getattr(module, name)
                parameter.data = parameter.data.bfloat16()
        elif isinstance(module, (nn.Linear, nn.Conv2d)):
            module.bfloat16()
    _halve_position(network.decoder.position)
    _align(network)


def _halve_position(position: PositionEncoding) -> None:
    """All but the first layer, which alone sees metres (bfloat16 is 0.3 m coarse at 40 m)."""
    first, *others = position.layers
    assert isinstance(first, nn.Linear)
    layers = [HalfLinear(layer) if isinstance(layer, nn.Linear) else layer for layer in others]
    position.layers = nn.Sequential(CoordinateLinear(first), *layers)


def _align(network: GaussianFlowNetwork) -> None:
    """Pad the layers that end in three coordinates or one opacity."""
    for module in list(network.modules()):
        for name, layer in module.named_children():
            if isinstance(layer, nn.Linear) and layer.out_features % 8:
                setattr(module, name, PaddedLinear(layer))


def _compile(network: GaussianFlowNetwork, mode: str) -> None:
    for module in network.modules():
        if isinstance(module, ImageCrossAttention):
            module.sample = sample_as_operator
    for part in (network.encoder, network.heads):
        part.compile(mode=mode, dynamic=False)
    for name in ("recall", "look"):
        step = getattr(network.decoder, name)
        setattr(network.decoder, name, torch.compile(step, mode=mode, dynamic=False))
