"""Gaussians to voxels: `voxelize` for density and logits, `voxelize_labels` for Occ3D ids."""

from gfocc_core.voxelizer.api import VoxelizerBackend, voxelize, voxelize_labels

__all__ = ["VoxelizerBackend", "voxelize", "voxelize_labels"]
