"""Rays through the world: what they hit, and whether anything stands in their way."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore import EmbreeDevice
from embreex.rtcore_scene import EmbreeScene

from gfocc_core.synthetic.meshes import Mesh, concatenate, mesh_of_ground, mesh_of_objects
from gfocc_core.synthetic.motion import Motions
from gfocc_core.synthetic.parts import Array
from gfocc_core.synthetic.vectors import Floats, Indices, Ints
from gfocc_core.synthetic.world import World

NOTHING = -1
"""Triangle of a ray that hit nothing."""
_SHADOW_LENGTH = 15.0
"""Metres around a moving object out to which its shadow is drawn, at least."""


@dataclass(frozen=True)
class Hits:
    """The first surface along each of N rays."""

    distance: Floats
    """[N] in lengths of the ray's direction; inf where nothing was hit."""
    triangle: Ints
    """[N] index into SceneGeometry.mesh, or NOTHING."""
    u: Floats
    """[N] barycentric weight of the triangle's corner 1."""
    v: Floats
    """[N] the same of corner 2."""

    def among(self, rays: Indices) -> Hits:
        """Those of some rays."""
        return Hits(self.distance[rays], self.triangle[rays], self.u[rays], self.v[rays])


@dataclass(frozen=True)
class View:
    """What a sensor can see, generously: a ball around it, or a cone of that length."""

    place: Array
    """[3] world frame."""
    reach: float
    """Metres."""
    axis: Array = field(default_factory=lambda: np.zeros(3))
    """[3] unit vector, world frame; unused where half_angle is pi."""
    half_angle: float = np.pi

    def concerns(self, centers: Array, radii: Array) -> npt.NDArray[np.bool_]:
        """Which balls (centers [N, 3], radii [N]) are in view, or may cast a shadow into it."""
        offset = centers - self.place
        distance = np.linalg.norm(offset, axis=1)
        wide = radii + _SHADOW_LENGTH
        margin = np.arcsin(np.minimum(wide / np.maximum(distance, 1e-6), 1))
        angle = np.arccos(np.clip(offset @ self.axis / np.maximum(distance, 1e-6), -1, 1))
        inside = (angle < self.half_angle + margin) | (distance < wide)
        return np.asarray((distance < self.reach + radii) & inside)


class SceneGeometry:
    """The world's triangles around a local origin, which keeps float32 exact to micrometres.

    Static ones are in the world's axes; those of each moving object in its own frame.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.origin: Array = np.round(world.ego.positions.mean(0))
        static = [index for index, item in enumerate(world.objects) if not item.path.moves]
        self.movers: tuple[int, ...] = tuple(
            index for index, item in enumerate(world.objects) if item.path.moves
        )
        meshes = [mesh_of_ground(world.ground, self.origin)]
        if static:
            poses = np.stack([world.objects[index].path.pose_at(0.0) for index in static])
            poses[:, :3, 3] -= self.origin
            models = [world.objects[index].model for index in static]
            meshes.append(mesh_of_objects(models, poses, static))
        self._device = EmbreeDevice()
        fixed = concatenate(meshes)
        self._fixed = EmbreeScene(self._device, robust=True)
        TriangleMesh(self._fixed, fixed.vertices, fixed.faces)
        self._fixed_count = len(fixed)

        self._moving = [
            mesh_of_objects([world.objects[index].model], np.eye(4)[None], [index])
            for index in self.movers
        ]
        self._reach = np.array(
            [float(np.linalg.norm(mesh.vertices, axis=1).max()) for mesh in self._moving]
        )
        self._motions = Motions([world.objects[index].path for index in self.movers])
        counts = np.cumsum([len(fixed)] + [len(mesh) for mesh in self._moving])
        self._starts = counts[:-1].astype(np.int32)
        self.mesh: Mesh = concatenate([fixed, *self._moving])

    def at(self, time: float, view: View) -> Instant:
        """The scene at a time, with the moving objects that matter to a view."""
        if not self.movers:
            return Instant(self, [], np.zeros((0, 4, 4)))
        poses = self._motions.poses_at(time)
        members = np.flatnonzero(view.concerns(poses[:, :3, 3], self._reach))
        poses = poses[members]
        poses[:, :3, 3] -= self.origin
        return Instant(self, members.tolist(), poses)

    def _moving_scene(self, members: list[int], poses: Array) -> EmbreeScene:
        scene = EmbreeScene(self._device, robust=True)
        for member, pose in zip(members, poses, strict=True):
            mesh = self._moving[member]
            pose32 = pose.astype(np.float32)
            vertices = mesh.vertices @ pose32[:3, :3].T + pose32[:3, 3]
            TriangleMesh(scene, vertices, mesh.faces)
        return scene


class Instant:
    """The scene at one time; points are float32 [N, 3] relative to the geometry's origin."""

    def __init__(self, geometry: SceneGeometry, members: list[int], poses: Array) -> None:
        self._fixed = geometry._fixed
        self._moving = geometry._moving_scene(members, poses) if members else None
        self._starts = geometry._starts[members]
        self._fixed_count = geometry._fixed_count
        self._rotations = np.zeros((len(geometry.movers), 3, 3), np.float32)
        self._rotations[members] = poses[:, :3, :3]
        self._all_starts = geometry._starts

    def cast(self, origins: Floats, directions: Floats) -> Hits:
        """First hits of rays [N, 3]."""
        found = self._fixed.run(origins, directions, output=1)
        distance, triangle, u, v = found["tfar"], found["primID"], found["u"], found["v"]
        if self._moving is not None:
            nearer = self._moving.run(origins, directions, dists=distance, output=1)
            hit = np.flatnonzero(nearer["primID"] >= 0)
            triangle[hit] = nearer["primID"][hit] + self._starts[nearer["geomID"][hit]]
            u[hit], v[hit] = nearer["u"][hit], nearer["v"][hit]
        distance[triangle < 0] = np.inf
        return Hits(distance, triangle, u, v)

    def blocked(
        self, origins: Floats, direction: Floats, reach: float = 1e30
    ) -> npt.NDArray[np.bool_]:
        """Whether something lies within `reach` lengths of `direction` [3] from points [N, 3]."""
        directions = np.broadcast_to(direction, origins.shape)
        blocked = self._fixed.run(origins, directions, query="OCCLUDED", dists=reach) >= 0
        if self._moving is not None:
            open_ = np.flatnonzero(~blocked)
            found = self._moving.run(
                origins[open_], directions[open_], query="OCCLUDED", dists=reach
            )
            blocked[open_] = found >= 0
        return blocked

    def turn_normals(self, triangle: Ints, normals: Floats) -> None:
        """Bring normals [3, N] of moving objects' triangles [N] into the world's axes, in place."""
        moving = np.flatnonzero(triangle >= self._fixed_count)
        if len(moving):
            mover = np.searchsorted(self._all_starts, triangle[moving], side="right") - 1
            normals[:, moving] = np.einsum("nij,jn->in", self._rotations[mover], normals[:, moving])
