"""The network: images and memory in, Gaussians and flow out."""

from gfocc_core.model.network import GaussianFlowNetwork, Memory

__all__ = ["GaussianFlowNetwork", "Memory"]
