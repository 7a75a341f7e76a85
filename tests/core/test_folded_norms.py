"""Encoders without batch norms equal those with them, and what cannot be folded stays as it is."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gfocc_core.inference.folded_norms import folded
from gfocc_core.model.image_encoder import ImageEncoder


def trained(backbone: str) -> ImageEncoder:
    """An encoder whose norms have statistics and weights of their own, as after training."""
    torch.manual_seed(0)
    encoder = ImageEncoder(backbone, 16, 3).eval()
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
    return encoder


def norms(encoder: ImageEncoder) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in encoder.modules())


@pytest.mark.parametrize("backbone", ["resnet18", "efficientnet_lite0"])
def test_every_norm_is_folded_and_nothing_changes(backbone: str) -> None:
    encoder = trained(backbone)
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    found = folded(encoder)
    assert norms(encoder) > 10
    assert norms(found) == 0
    images = torch.randn(2, 3, 3, 64, 96)
    with torch.inference_mode():
        for wanted, level in zip(encoder(images), found(images), strict=True):
            assert float((level - wanted).abs().max()) < 1e-4 * float(wanted.abs().max())
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_a_network_that_computes_in_another_order_is_left_alone() -> None:
    encoder = trained("resnet18")

    class NormFirst(ImageEncoder):
        """As pre-activation networks: the norm that stands behind a convolution comes first."""

        def forward(self, images: Tensor) -> list[Tensor]:
            flat = images.flatten(0, 1)
            shifted = self.backbone.bn1(flat.repeat(1, 22, 1, 1)[:, :64])[:, :3]
            return super().forward(shifted.unflatten(0, images.shape[:2]))

    encoder.__class__ = NormFirst
    assert folded(encoder) is encoder
