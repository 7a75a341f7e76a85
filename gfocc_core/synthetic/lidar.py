"""A spinning lidar: exact ranges of all beams, and the noisy points that it would report."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gfocc_core.synthetic.materials import CATALOGUE
from gfocc_core.synthetic.meshes import Mesh
from gfocc_core.synthetic.rig import LidarSpec
from gfocc_core.synthetic.shots import LidarSweep
from gfocc_core.synthetic.tracing import Hits
from gfocc_core.synthetic.vectors import Floats, Ints

_RANGE_NOISE = 0.012
"""Standard deviation of a range, metres."""
_BACKGROUND_LOSS = 0.01
"""Share of returns that get lost for no reason."""
_HALF_SIGNAL = 0.012
"""Received signal (1 is a perpendicular white surface nearby) at which half the returns are lost."""


@dataclass(frozen=True)
class Beams:
    """Directions of all beams of a lidar, ring-major."""

    directions: Floats
    """[rings * columns, 3] unit vectors, lidar frame."""
    elevations: npt.NDArray[np.float64]
    """[rings] radians, increasing."""


def beams_of(lidar: LidarSpec) -> Beams:
    """Column c looks to azimuth (c + 0.5) * 2 pi / columns."""
    elevations = np.radians(np.linspace(lidar.lowest_deg, lidar.highest_deg, lidar.rings))
    azimuths = (np.arange(lidar.columns) + 0.5) * (2 * np.pi / lidar.columns)
    rise, turn = np.meshgrid(elevations, azimuths, indexing="ij")
    directions = np.stack(
        [np.cos(rise) * np.cos(turn), np.cos(rise) * np.sin(turn), np.sin(rise)], -1
    )
    return Beams(directions.reshape(-1, 3).astype(np.float32), elevations)


def sweep_of(
    lidar: LidarSpec,
    beams: Beams,
    hits: Hits,
    facing: Floats,
    mesh: Mesh,
    rng: np.random.Generator,
) -> LidarSweep:
    """A sweep from what every beam hit; `facing` [N] is the cosine of the angle of incidence."""
    ranges = np.where(hits.distance <= lidar.max_range, hits.distance, np.float32(np.inf))
    returned = np.flatnonzero(np.isfinite(ranges))
    triangle = hits.triangle[returned]
    distance = ranges[returned]
    reflectance = _brightness(mesh, triangle) * np.maximum(facing[returned], np.float32(0.02))
    signal = reflectance / (1 + np.square(distance / np.float32(25)))
    lost = np.float32(_BACKGROUND_LOSS) + np.exp(-signal * np.float32(np.log(2) / _HALF_SIGNAL))
    draws = rng.random((2, len(ranges)), np.float32)[:, returned]
    noise = rng.standard_normal(len(ranges), np.float32)[returned]
    kept = np.flatnonzero(draws[0] > lost)

    beam = returned[kept]
    measured = distance[kept] + noise[kept] * np.float32(_RANGE_NOISE)
    points = np.empty((len(kept), 5), np.float32)
    points[:, :3] = beams.directions[beam] * measured[:, None]
    flicker = np.float32(0.9) + np.float32(0.2) * draws[1, kept]
    points[:, 3] = np.round(np.clip(reflectance[kept] * flicker * 255, 0, 255))
    points[:, 4] = beam // lidar.columns
    return LidarSweep(
        points,
        mesh.object[triangle[kept]],
        ranges.reshape(lidar.rings, lidar.columns),
        beams.elevations,
    )


def _brightness(mesh: Mesh, triangle: Ints) -> Floats:
    """Share of lidar light that surfaces [N] send back at normal incidence."""
    reflectance = np.array([material.reflectance for material in CATALOGUE], np.float32)
    return reflectance[mesh.material[triangle]]
