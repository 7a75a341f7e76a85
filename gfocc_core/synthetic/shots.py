"""What sensors bring back from the world: images with exact labels, and lidar sweeps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SKY = 255
"""Label of a pixel that shows no surface."""
NO_OBJECT = -1
"""Object index of ground and sky."""


@dataclass(frozen=True)
class CameraShot:
    """One camera's image and, for each of its pixels, what the ray through its centre hit."""

    image: npt.NDArray[np.uint8]
    """[H, W, 3] RGB, with the camera's blur and noise."""
    labels: npt.NDArray[np.uint8]
    """[H, W] Occ3D ids; 0 is `others`, SKY where nothing was hit."""
    depth: npt.NDArray[np.float32]
    """[H, W] metres along the optical axis; 0 where nothing was hit."""
    objects: npt.NDArray[np.int32]
    """[H, W] index into World.objects, or NO_OBJECT."""


@dataclass(frozen=True)
class LidarSweep:
    """One revolution, all beams at the sweep's stamp (motion compensated)."""

    points: npt.NDArray[np.float32]
    """[M, 5] x, y, z (metres, lidar frame), intensity (0 to 255), ring (0 is the lowest)."""
    objects: npt.NDArray[np.int32]
    """[M] index into World.objects, or NO_OBJECT."""
    ranges: npt.NDArray[np.float32]
    """[rings, columns] metres; inf where a beam hit nothing. Column c looks to azimuth
    (c + 0.5) * 2 pi / columns from the lidar's x axis, counterclockwise."""
    elevations: npt.NDArray[np.float64]
    """[rings] radians above the lidar's xy plane, increasing."""
