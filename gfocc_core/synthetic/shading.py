"""From what rays hit to light: textures, sun and shadow, sky light, reflections and haze.

Vectors of N rays are [3, N] here, one contiguous row per component.
"""

from __future__ import annotations

import numpy as np

from gfocc_core.synthetic.meshes import GROUND_TEXTURE
from gfocc_core.synthetic.pyramids import TAPS, GroundPyramid, TextureAtlas
from gfocc_core.synthetic.sky import Sky
from gfocc_core.synthetic.textures import grain_texture
from gfocc_core.synthetic.tracing import Hits, Instant, SceneGeometry
from gfocc_core.synthetic.vectors import Floats, Indices, Ints, dot, scatter, take, unit

_LIFT = np.float32(0.015)
"""Metres from the surface at which shadow rays start."""
_BULGE = np.float32(2.5)
"""How far in metres, per loss of length of its interpolated normal, a facet lies below the round
surface that it stands for; shadow rays start above that surface, or facets would show."""
_COVER_REACH = 3.0
"""Metres above a point within which a solid keeps the sky's light from it."""
_COVERED_SKY = np.float32(0.45)
"""Share of the sky's light that reaches a point with a solid right above it."""
_GRAIN_TILE = 1.6
"""Edge of a tile of the ground's grain, metres."""
_UP = np.array([0, 0, 1], np.float32)


class Shader:
    """Light that leaves one scene's surfaces towards a camera; linear RGB, white in full sun near 1."""

    def __init__(self, geometry: SceneGeometry) -> None:
        world = geometry.world
        self._mesh = geometry.mesh
        self._atlas = TextureAtlas()
        self._ground = GroundPyramid(world.ground.colors)
        self._resolution = np.float32(world.ground.resolution)
        light = world.lighting
        self._sun = np.array(light.sun, np.float32)
        self._ambient = np.array(light.ambient, np.float32)
        self._to_sun = np.array(light.to_sun, np.float32)
        self._haze = np.float32(-1 / light.haze_distance)
        self.sky = Sky(light, world.seed)

    def radiance(
        self, instant: Instant, hits: Hits, eye: Floats, directions: Floats, pixel: float
    ) -> Floats:
        """Radiance [3, N] along rays from `eye` [3] in directions [N, 3].

        pixel: angle between neighbouring rays, radians.
        """
        toward, length = unit(np.ascontiguousarray(directions.T))
        light = np.empty_like(toward)
        seen = np.flatnonzero(hits.triangle >= 0)
        if len(seen):
            part = hits.among(seen)
            metres = part.distance * length[seen]
            surface = self._surface_light(
                instant, part, eye, take(toward, seen), metres, np.float32(pixel)
            )
            scatter(light, seen, surface)
        empty = np.flatnonzero(hits.triangle < 0)
        if len(empty):
            scatter(light, empty, self.sky.radiance(take(toward, empty)))
        return light

    def _surface_light(
        self,
        instant: Instant,
        hits: Hits,
        eye: Floats,
        toward: Floats,
        metres: Floats,
        pixel: np.float32,
    ) -> Floats:
        normal, uv = self._mesh.surface_at(hits.triangle, hits.u, hits.v)
        instant.turn_normals(hits.triangle, normal)
        normal, length = unit(normal)
        facing = -dot(normal, toward)
        footprint = metres * pixel
        slant = footprint / np.maximum(np.abs(facing), np.float32(0.03))

        texture = self._mesh.texture[hits.triangle]
        color = np.empty((3, len(metres)), np.float32)
        gloss = np.zeros(len(metres), np.float32)
        ground = np.flatnonzero(texture == GROUND_TEXTURE)
        if len(ground):
            found = self._ground_color(
                take(uv, ground), take(toward, ground), footprint[ground], slant[ground]
            )
            scatter(color, ground, found)
        solid = np.flatnonzero(texture != GROUND_TEXTURE)
        if len(solid):
            wide = np.sqrt(footprint[solid] * slant[solid])
            found, gloss[solid] = self._solid_color(
                hits.triangle[solid], texture[solid], take(uv, solid), wide
            )
            scatter(color, solid, found)
        lift = _LIFT + metres * np.float32(1e-4) + (1 - np.minimum(length, 1)) * _BULGE
        points = toward * metres
        points += eye[:, None]
        points += normal * lift
        light = self._received(instant, points, normal)
        light *= np.square(color, out=color)
        shiny = np.flatnonzero(gloss > 0.02)
        if len(shiny):
            mirror = self._mirror_image(take(normal, shiny), take(toward, shiny), facing[shiny])
            self._blend_mirror(light, shiny, mirror, gloss[shiny], facing[shiny])
        clear = np.exp(metres * self._haze)
        haze = self.sky.horizon[:, None]
        light -= haze
        light *= clear
        light += haze
        return light

    def _ground_color(
        self, place: Floats, toward: Floats, footprint: Floats, slant: Floats
    ) -> Floats:
        """Mean colour [3, N], 0 to 1, under footprints that lie along the line of sight."""
        across = footprint / self._resolution
        along = slant / self._resolution
        lod = np.log2(np.maximum(np.maximum(across, along / TAPS), np.float32(1)))
        along /= np.maximum(np.hypot(toward[0], toward[1]), np.float32(1e-6))
        line = toward[0] * along, toward[1] * along
        color = self._ground.sample(place[0], place[1], line, lod)
        color *= np.float32(1 / 255)
        near = np.flatnonzero(slant < _GRAIN_TILE / 16)
        if len(near):
            self._add_grain(color, near, take(place, near) * self._resolution, slant[near])
        return color

    def _add_grain(self, color: Floats, near: Indices, metres: Floats, footprint: Floats) -> None:
        """Texture the ground's colour at pixels `near`, at places [2, N]."""
        u, v = metres * np.float32(1 / _GRAIN_TILE)
        grain = np.full(len(near), grain_texture(), np.int32)
        tone = self._atlas.sample(grain, u, v, footprint * np.float32(1 / _GRAIN_TILE))
        scatter(color, near, take(color, near) * tone[:1])

    def _solid_color(
        self, triangle: Ints, texture: Ints, uv: Floats, footprint: Floats
    ) -> tuple[Floats, Floats]:
        """Colour [3, N], 0 to 1, and gloss [N] of textured parts."""
        tile = self._mesh.tile[triangle]
        found = self._atlas.sample(texture, uv[0], uv[1], footprint / tile)
        tone, gloss = found[:3], found[3]
        color = np.ascontiguousarray(self._mesh.color[triangle].T) * np.float32(1 / 255)
        color *= np.minimum(tone, 1)
        tone -= 1
        np.maximum(tone, 0, out=tone)
        color += (1 - color) * tone
        return color, gloss

    def _received(self, instant: Instant, points: Floats, normal: Floats) -> Floats:
        """Light [3, N] that white surfaces just below points [3, N] would send back."""
        starts = np.ascontiguousarray(points.T)
        sunlit = np.maximum(dot(normal, self._to_sun), 0)
        if self._sun.max() > 0:
            facing_sun = np.flatnonzero(sunlit > 0)
            shadow = instant.blocked(np.take(starts, facing_sun, 0), self._to_sun)
            sunlit[facing_sun[shadow]] = 0
        sky = np.float32(0.62) + np.float32(0.38) * normal[2]
        open_up = np.flatnonzero(normal[2] > 0.3)
        covered = instant.blocked(np.take(starts, open_up, 0), _UP, _COVER_REACH)
        sky[open_up[covered]] *= _COVERED_SKY
        return self._sun[:, None] * sunlit + self._ambient[:, None] * sky

    def _mirror_image(self, normal: Floats, toward: Floats, facing: Floats) -> Floats:
        """What a mirror with this normal would show: sky or dim surroundings, and the sun."""
        mirrored = toward + normal * (2 * facing)
        image = self.sky.gradient(mirrored[2])
        image *= np.clip(mirrored[2] * 6 + np.float32(0.6), np.float32(0.25), 1)
        glint = np.maximum(dot(mirrored, self._to_sun), 0)
        for _ in range(6):
            glint *= glint
        image += self._sun[:, None] * (glint * np.float32(2.0))
        return image

    @staticmethod
    def _blend_mirror(
        light: Floats, shiny: Indices, mirror: Floats, gloss: Floats, facing: Floats
    ) -> None:
        """Mix the mirror image into pixels `shiny`, more so at grazing angles."""
        grazing = 1 - np.clip(facing, 0, 1)
        share = gloss * (np.float32(0.12) + np.float32(0.88) * grazing * grazing * grazing)
        under = take(light, shiny)
        under += (mirror - under) * share
        scatter(light, shiny, under)
