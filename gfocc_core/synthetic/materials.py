"""What surfaces are made of: how they look up close, how they shine, how lidar sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Fit = Literal["metres", "whole_tiles", "one_tile"]


@dataclass(frozen=True)
class Material:
    """Optical properties of one material."""

    name: str
    tile: float
    """Edge of a texture tile on the surface, metres."""
    reflectance: float
    """Of lidar light at normal incidence, 0 to 1."""
    fit: Fit = "metres"
    """Tiles repeat every `tile` metres; or are stretched so that whole tiles fill a face; or one
    tile fills it."""
    variants: int = 1
    """Textures of this material; objects take turns."""
    top: str = ""
    """Material of a box's upper and lower face where it differs (a facade has no windows there)."""


CATALOGUE: tuple[Material, ...] = (
    Material("plain", 2.0, 0.45),
    Material("brick", 1.44, 0.35, top="concrete"),
    Material("concrete", 2.4, 0.40),
    Material("plaster", 3.0, 0.55, top="concrete"),
    Material("facade", 3.2, 0.40, fit="whole_tiles", variants=4, top="concrete"),
    Material("glass", 2.0, 0.08),
    Material("bark", 0.8, 0.30),
    Material("foliage", 1.8, 0.50, variants=2),
    Material("metal", 2.0, 0.50),
    Material("cloth", 0.5, 0.40),
    Material("stripes", 0.6, 0.80),
    Material("wood", 0.9, 0.45),
    Material("rubber", 0.6, 0.06),
    Material("sign", 0.8, 0.95, fit="one_tile"),
)

MATERIALS: tuple[str, ...] = tuple(material.name for material in CATALOGUE)


def material_index(name: str) -> int:
    """Place of a material in the catalogue; ValueError names an unknown one."""
    try:
        return MATERIALS.index(name)
    except ValueError:
        raise ValueError(f"unknown material {name!r}, known are: {', '.join(MATERIALS)}") from None
