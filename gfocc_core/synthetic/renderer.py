"""Camera shots and lidar sweeps of a world at any time."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from gfocc_core.synthetic.antialiasing import EXTRA_PLACES, edge_pixels
from gfocc_core.synthetic.camera_effects import CameraLook
from gfocc_core.synthetic.lidar import beams_of, sweep_of
from gfocc_core.synthetic.parts import Array
from gfocc_core.synthetic.rig import CameraSpec, LidarSpec, ego_from_sensor
from gfocc_core.synthetic.shading import Shader
from gfocc_core.synthetic.shots import NO_OBJECT, SKY, CameraShot, LidarSweep
from gfocc_core.synthetic.tracing import Hits, Instant, SceneGeometry, View
from gfocc_core.synthetic.vectors import Floats, Ints, dot, scatter, take, turned, unit
from gfocc_core.synthetic.world import World

_CAMERA_REACH = 90.0
"""Moving objects within this many metres of a camera are drawn."""


class SceneRenderer:
    """Everything static is prepared once; then shots and sweeps at any time, in any order.

    Times are seconds of the world's clock. The same call always gives the same result.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self._geometry = SceneGeometry(world)
        self._shader = Shader(self._geometry)
        self._looks: dict[CameraSpec, CameraLook] = {}

    def shoot(self, camera: CameraSpec, time: float) -> CameraShot:
        """The camera's picture at `time` (the camera's own: the caller adds stamp_ms)."""
        pose = self.world.ego.pose_at(time) @ ego_from_sensor(camera)
        view = View(pose[:3, 3], _CAMERA_REACH, pose[:3, 2], _half_angle(camera))
        instant = self._geometry.at(time, view)
        eye, directions = self._rays(pose, _pixel_rays(camera))
        hits = instant.cast(np.broadcast_to(eye, directions.shape), directions)
        shape = camera.height, camera.width
        light = self._shader.radiance(instant, hits, eye, directions, 1 / camera.fx)
        self._smooth_edges(light, instant, camera, pose, eye, directions)
        look = self._looks.get(camera)
        if look is None:
            look = self._looks[camera] = CameraLook(camera, self.world.seed)
        labels, objects = self._truth(hits, eye, directions)
        depth = np.where(hits.triangle < 0, np.float32(0), hits.distance)
        return CameraShot(
            look.picture(light.reshape(3, *shape), time),
            labels.reshape(shape),
            depth.reshape(shape),
            objects.reshape(shape),
        )

    def sweep(self, lidar: LidarSpec, time: float) -> LidarSweep:
        """All beams of one revolution, fired at `time`."""
        pose = self.world.ego.pose_at(time) @ ego_from_sensor(lidar)
        instant = self._geometry.at(time, View(pose[:3, 3], lidar.max_range))
        beams = _beams(lidar)
        eye, directions = self._rays(pose, beams.directions)
        hits = instant.cast(np.broadcast_to(eye, directions.shape), directions)
        rng = np.random.default_rng([self.world.seed, 7, round((time + 1e4) * 1e4)])
        facing = self._facing(instant, hits, directions)
        return sweep_of(lidar, beams, hits, facing, self._geometry.mesh, rng)

    def _smooth_edges(
        self,
        light: Floats,
        instant: Instant,
        camera: CameraSpec,
        pose: Array,
        eye: Floats,
        directions: Floats,
    ) -> None:
        """Average more rays into the pixels of `light` [3, H * W] at edges."""
        edge = edge_pixels(light, (camera.height, camera.width))
        if not len(edge):
            return
        at_center = np.take(directions, edge, 0)
        rays = np.concatenate(
            [
                at_center + (pose[:3, :2] @ (x / camera.fx, y / camera.fy)).astype(np.float32)
                for x, y in EXTRA_PLACES
            ]
        )
        hits = instant.cast(np.broadcast_to(eye, rays.shape), rays)
        extra = self._shader.radiance(instant, hits, eye, rays, 1 / camera.fx)
        total = extra.reshape(3, len(EXTRA_PLACES), -1).sum(1) + take(light, edge)
        scatter(light, edge, total / np.float32(1 + len(EXTRA_PLACES)))

    def _rays(self, pose: Array, sensor_rays: Floats) -> tuple[Floats, Floats]:
        """Origin [3] and directions [N, 3] around the geometry's origin."""
        eye = (pose[:3, 3] - self._geometry.origin).astype(np.float32)
        return eye, turned(pose[:3, :3], sensor_rays)

    def _truth(
        self, hits: Hits, eye: Floats, directions: Floats
    ) -> tuple[npt.NDArray[np.uint8], Ints]:
        mesh = self._geometry.mesh
        labels = np.where(hits.triangle < 0, np.uint8(SKY), mesh.label[hits.triangle])
        objects = np.where(hits.triangle < 0, np.int32(NO_OBJECT), mesh.object[hits.triangle])
        ground = np.flatnonzero((objects == NO_OBJECT) & (hits.triangle >= 0))
        reach = directions[ground, :2] * hits.distance[ground, None]
        xy = reach + (eye + self._geometry.origin)[:2]
        labels[ground] = self.world.ground.label_at(xy)
        return labels, objects

    def _facing(self, instant: Instant, hits: Hits, directions: Floats) -> Floats:
        """Cosine of the angle of incidence [N]; of no meaning where nothing was hit."""
        normal, _ = self._geometry.mesh.surface_at(hits.triangle, hits.u, hits.v)
        instant.turn_normals(hits.triangle, normal)
        return np.abs(dot(unit(normal)[0], directions.T))


@lru_cache(maxsize=16)
def _pixel_rays(camera: CameraSpec) -> Floats:
    """Directions [H * W, 3] through pixel centres, camera frame, z = 1: lengths are depths."""
    x = (np.arange(camera.width) + 0.5 - camera.cx) / camera.fx
    y = (np.arange(camera.height) + 0.5 - camera.cy) / camera.fy
    rays = np.ones((camera.height, camera.width, 3), np.float32)
    rays[..., 0], rays[..., 1] = x[None], y[:, None]
    return rays.reshape(-1, 3)


def _half_angle(camera: CameraSpec) -> float:
    """Angle in radians between the optical axis and the farthest corner."""
    x = max(camera.cx, camera.width - camera.cx) / camera.fx
    y = max(camera.cy, camera.height - camera.cy) / camera.fy
    return math.atan(math.hypot(x, y))


_beams = lru_cache(maxsize=4)(beams_of)
