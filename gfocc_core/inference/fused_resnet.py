"""timm's ResNets with fused convolutions; other backbones stay as they are."""

from __future__ import annotations

from timm.models.resnet import BasicBlock, Bottleneck
from torch import Tensor, nn

from gfocc_core.inference.fused_convolution import FusedConvolution, FusedStem


class FusedBlock(nn.Module):
    """A residual block: some convolutions, the last of which takes the shortcut in."""

    def __init__(self, block: BasicBlock | Bottleneck) -> None:
        super().__init__()
        *first, last = _pairs(block)
        self.first = nn.Sequential(*(FusedConvolution(*pair) for pair in first))
        self.last = FusedConvolution(*last)
        self.downsample = block.downsample

    def forward(self, images: Tensor) -> Tensor:
        shortcut = images if self.downsample is None else self.downsample(images)
        return self.last(self.first(images), shortcut)


def fuse_resnet(backbone: nn.Module) -> bool:
    """Replace a backbone's residual blocks and its stem; returns whether it has any.

    Expects float32 weights and leaves bfloat16 ones.
    """
    found = False
    for module in list(backbone.modules()):
        for name, block in module.named_children():
            if isinstance(block, (BasicBlock, Bottleneck)) and _is_plain(block):
                setattr(module, name, FusedBlock(block))
                found = True
    if found:
        _fuse_stem(backbone)
    return found


def _fuse_stem(backbone: nn.Module) -> None:
    stem, norm, activation = (getattr(backbone, name, None) for name in ("conv1", "bn1", "act1"))
    if not (isinstance(stem, nn.Conv2d) and FusedStem.takes(stem)):
        return
    if isinstance(norm, nn.BatchNorm2d) and isinstance(activation, nn.ReLU):
        backbone.conv1 = FusedStem(stem, norm)
        backbone.bn1, backbone.act1 = nn.Identity(), nn.Identity()


def _pairs(block: BasicBlock | Bottleneck) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    names = ("1", "2", "3") if isinstance(block, Bottleneck) else ("1", "2")
    return [(getattr(block, f"conv{name}"), getattr(block, f"bn{name}")) for name in names]


def _is_plain(block: BasicBlock | Bottleneck) -> bool:
    """Whether nothing but convolutions, batch norms and ReLUs is in a block."""
    extras = (block.se, block.drop_path, block.aa, getattr(block, "drop_block", None))
    activations = [child for name, child in block.named_children() if name.startswith("act")]
    return (
        all(extra is None or isinstance(extra, nn.Identity) for extra in extras)
        and all(isinstance(activation, nn.ReLU) for activation in activations)
        and all(
            isinstance(convolution, nn.Conv2d)
            and convolution.dilation == (1, 1)
            and isinstance(norm, nn.BatchNorm2d)
            for convolution, norm in _pairs(block)
        )
    )
