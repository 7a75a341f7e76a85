"""A convolution with its batch norm folded in; bias, residual and ReLU ride in the same kernel.

torch.compile leaves convolutions to cuDNN and writes their outputs once more for what follows.
cuDNN can do it all at once, by operators that torch.compile cannot look into.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from gfocc_core.inference.folded_norms import fold_norm

_CHANNEL_ALIGNMENT = 16
_log = logging.getLogger(__name__)


class FusedConvolution(nn.Module):
    """relu(convolution + bias [+ residual]) in bfloat16, channels last; for inference only."""

    def __init__(self, convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        weight, bias = fold_norm(convolution, norm)
        self.weight = nn.Parameter(_half(weight), False)
        self.bias = nn.Parameter(bias.bfloat16(), False)
        self.stride, self.padding = list(convolution.stride), _padding(convolution)
        self.groups = convolution.groups

    def forward(self, images: Tensor, residual: Tensor | None = None) -> Tensor:
        """[B, C, H, W] to [B, O, h, w]; the residual has the output's shape."""
        return _convolve_relu(
            images, self.weight, self.bias, residual, self.stride, self.padding, self.groups
        )


class FusedStem(nn.Module):
    """A network's first convolution, of stride 2, on 2 x 2 pixels at a time.

    Three channels are too few for tensor cores. Four pixels' twelve, filled up to sixteen, under a
    kernel half as wide give the same sums (the 7 x 7 of ResNet becomes 4 x 4).
    """

    def __init__(self, convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        weight, bias = fold_norm(convolution, norm)
        self.kernel, (self.pad, _) = weight.shape[-1], _padding(convolution)
        odd = self.pad % 2
        self.front, self.taps = self.pad + odd, (self.kernel + odd + 1) // 2
        grown = F.pad(weight, (odd, 2 * self.taps - self.kernel - odd) * 2)
        phases = grown.unflatten(-1, (-1, 2)).unflatten(-3, (-1, 2))  # [O, C, T, 2, T, 2]
        folded = phases.permute(0, 1, 3, 5, 2, 4).flatten(1, 3)
        self.missing = -folded.shape[1] % _CHANNEL_ALIGNMENT
        folded = F.pad(folded, (0, 0, 0, 0, 0, self.missing))
        self.weight = nn.Parameter(_half(folded), False)
        self.bias = nn.Parameter(bias.bfloat16(), False)

    @staticmethod
    def takes(convolution: nn.Conv2d) -> bool:
        """Whether it can stand in for a convolution."""
        square = convolution.kernel_size[0] == convolution.kernel_size[1]
        plain = convolution.groups == 1 and convolution.dilation == (1, 1)
        padding = convolution.padding
        even = not isinstance(padding, str) and padding[0] == padding[1]
        return square and plain and even and convolution.stride == (2, 2)

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] to [B, O, h, w]"""
        ends = [
            2 * ((size + 2 * self.pad - self.kernel) // 2 + self.taps) - self.front - size
            for size in images.shape[-2:]
        ]
        around = (self.front, ends[1], self.front, ends[0])
        phases = F.pixel_unshuffle(F.pad(images, around), 2)
        aligned = F.pad(phases, (0, 0, 0, 0, 0, self.missing))
        aligned = aligned.contiguous(memory_format=torch.channels_last)
        return _convolve_relu(aligned, self.weight, self.bias, None, [1, 1], [0, 0], 1)


@torch.library.custom_op("gfocc::convolve_relu", mutates_args=())
def _convolve_relu(
    images: Tensor,
    weight: Tensor,
    bias: Tensor,
    residual: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    groups: int,
) -> Tensor:
    images = images.contiguous(memory_format=torch.channels_last)
    sums = ConvolutionSums(images, weight, bias, residual, stride, padding, groups)
    return sums.by_cudnn_or_parts() if images.is_cuda else sums.by_parts()


@dataclass(frozen=True)
class ConvolutionSums:
    """One call of the operator, and the ways to compute it."""

    images: Tensor
    weight: Tensor
    bias: Tensor
    residual: Tensor | None
    stride: Sequence[int]
    padding: Sequence[int]
    groups: int

    def by_cudnn_or_parts(self) -> Tensor:
        """In one kernel; in parts where this GPU's cuDNN has none, which is told and tried once."""
        shapes = (self.images.shape, self.weight.shape, self.residual is None)
        if shapes in _REFUSED:
            return self.by_parts()
        try:
            return self.by_cudnn()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            _REFUSED.add(shapes)
            said = str(error).strip().partition("\n")[0]
            _log.warning(
                "a convolution %s of %s runs in parts: %s",
                *(list(self.weight.shape), list(self.images.shape), said),
            )
            return self.by_parts()

    def by_cudnn(self) -> Tensor:
        where = (self.stride, self.padding, [1, 1], self.groups)
        call = (self.images, self.weight)
        if self.residual is None:
            return torch.ops.aten.cudnn_convolution_relu(*call, self.bias, *where)
        residual = self.residual.contiguous(memory_format=torch.channels_last)
        return torch.ops.aten.cudnn_convolution_add_relu(*call, residual, 1.0, self.bias, *where)

    def by_parts(self) -> Tensor:
        where = (self.stride, self.padding, 1, self.groups)
        total = F.conv2d(self.images, self.weight, self.bias, *where)
        return (total if self.residual is None else total + self.residual).relu()


_REFUSED: set[tuple[torch.Size, torch.Size, bool]] = set()


@_convolve_relu.register_fake
def _(
    images: Tensor,
    weight: Tensor,
    bias: Tensor,
    residual: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    groups: int,
) -> Tensor:
    height, width = (
        (size + 2 * pad - reach) // step + 1
        for size, pad, reach, step in zip(
            images.shape[2:], padding, weight.shape[2:], stride, strict=True
        )
    )
    shape = (images.shape[0], weight.shape[0], height, width)
    return images.new_empty(shape).contiguous(memory_format=torch.channels_last)


def _padding(convolution: nn.Conv2d) -> list[int]:
    assert not isinstance(convolution.padding, str)
    return list(convolution.padding)


def _half(weight: Tensor) -> Tensor:
    return weight.bfloat16().contiguous(memory_format=torch.channels_last)
