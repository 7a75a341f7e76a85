"""How a frame is computed: plainly, or reduced in precision, compiled and captured as one CUDA graph."""

from gfocc_core.inference.config import InferenceConfig

__all__ = ["InferenceConfig"]
