"""What a user decides about speed; a checkpoint knows nothing of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch

Precision = Literal["float32", "bfloat16"]
Compilation = Literal["off", "default", "max-autotune"]


@dataclass(frozen=True)
class InferenceConfig:
    """How a predictor computes; the default is plain float32, alike on every device.

    All but `stage_timings` need a GPU where Triton works; elsewhere the predictor says so once
    and computes in plain float32.
    """

    precision: Precision = "float32"
    """bfloat16: convolutions, matrix products and attention; positions, norms and the residual
    stream of the Gaussians stay float32."""
    compile: Compilation = "off"
    """`torch.compile` of encoder, decoder and heads; max-autotune also times kernels against
    each other, which makes the first start minutes longer."""
    cuda_graph: bool = False
    """Capture a whole frame once and replay it: no launch waits for Python, and what memory
    alone decides is computed while the images travel."""
    stage_timings: bool = False
    """Time every stage, not only the whole frame."""

    def __post_init__(self) -> None:
        for name, kinds in (("precision", Precision), ("compile", Compilation)):
            value = getattr(self, name)
            if value not in get_args(kinds):
                known = ", ".join(get_args(kinds))
                raise ValueError(f"inference.{name} must be one of {known}, got {value!r}")

    @classmethod
    def fastest(cls, device: torch.device) -> InferenceConfig:
        """bfloat16, compiled, one graph on a GPU; the default on a CPU."""
        return cls("bfloat16", "default", cuda_graph=True) if device.type == "cuda" else cls()

    @property
    def is_plain(self) -> bool:
        """Whether it asks for nothing but plain float32."""
        return self.precision == "float32" and self.compile == "off" and not self.cuda_graph
