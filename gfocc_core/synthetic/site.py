"""A scene under construction: its plan, ground and free space, and what stands there so far."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from gfocc_core.synthetic.curves import unit
from gfocc_core.synthetic.districts import District
from gfocc_core.synthetic.ground_labels import SURFACE_INDEX, SURFACES
from gfocc_core.synthetic.palettes import Palette
from gfocc_core.synthetic.parts import Array, ObjectModel
from gfocc_core.synthetic.relief import set_down
from gfocc_core.synthetic.room import Room, footprint
from gfocc_core.synthetic.street_plan import StreetPlan
from gfocc_core.synthetic.world import Ground, WorldObject

SOFT = frozenset({"grass", "gravel", "sand", "dirt"})
WALKABLE = SOFT | {"sidewalk", "plaza", "island"}
ROADS = frozenset({"asphalt", "side_asphalt"})
ANYWHERE = frozenset(name for name, _ in SURFACES)

_ROAD_INDICES = tuple(SURFACE_INDEX[name] for name in sorted(ROADS))

OBJECT, RESERVED, EGO_WAY = 1, 2, 3
"""What a cell of the room holds: a thing, a plot's claim, where the ego drives."""


@dataclass(frozen=True, eq=False)
class Site:
    """Everything the builders of one scene share."""

    plan: StreetPlan
    district: District
    palette: Palette
    ground: Ground
    room: Room
    objects: list[WorldObject] = field(default_factory=list)

    def place(
        self,
        model: ObjectModel,
        xy: Array,
        yaw: float,
        surfaces: frozenset[str],
        margin: float = 0.1,
        upright: bool = True,
        foot: float = 0.0,
    ) -> bool:
        """Put a thing down if its footprint with a margin (metres) is free and on the surfaces.

        `foot` replaces the footprint by a square of that edge, for what spreads only overhead.
        """
        length, width = (foot, foot) if foot else model.size[:2]
        corners = footprint(xy, yaw, length + 2 * margin, width + 2 * margin)
        if not self.room.claim(corners, surfaces, OBJECT, (0, RESERVED)):
            return False
        self.objects.append(WorldObject(model, set_down(self.ground, xy, yaw, upright)))
        return True

    def over_road(self, xy: Array, reach: float) -> bool:
        """Whether a disc of radius `reach` metres touches a road."""
        ring = unit(np.linspace(0, 2 * np.pi, 13)[:-1]) * reach
        spots = np.asarray(xy) + np.vstack([ring, ring / 2])
        return bool(np.isin(self.room.surface_at(spots), _ROAD_INDICES).any())

    def sink(self, xy: Array, yaw: float, size: tuple[float, float]) -> float:
        """How far the ground falls below a footprint's centre under its corners, metres."""
        corners = footprint(xy, yaw, *size)
        fall = self.ground.height_at(np.asarray(xy)) - self.ground.height_at(corners).min()
        return float(max(fall, 0.0)) + 0.15
