"""`~/gaussians`: the Gaussians that the occupancy is made of, as ellipsoids."""

from __future__ import annotations

import numpy as np
import torch
from visualization_msgs.msg import Marker

from gfocc_core.gaussians import Gaussians
from gfocc_ros.messages import stamp_from_nanoseconds
from gfocc_ros.publishing.class_messages import MARKER_COLORS
from gfocc_ros.publishing.marker_encoding import MarkerEncoder, marker_array
from gfocc_ros.publishing.shown_markers import ShownMarkers

NAMESPACE = "gaussians"


class GaussianMarkers:
    """Remembers what it sent, so as to delete what vanished.

    A marker's id is the Gaussian's number: viewers move and recolour it from frame to frame.
    """

    def __init__(self) -> None:
        self._shown: ShownMarkers[int] = ShownMarkers()

    def message(
        self, gaussians: Gaussians, stamp_ns: int, frame_id: str, min_opacity: float
    ) -> bytes:
        """A serialized MarkerArray: deletions first, then the Gaussians at least this opaque.

        Each is a sphere stretched to one standard deviation around the mean, in the colour of its
        most likely class, as opaque as the Gaussian. Gaussians with numbers that are not finite
        are left out.
        """
        table = _table(gaussians)
        visible = np.flatnonzero(np.isfinite(table).all(1) & (table[:, 10] >= min_opacity))
        means, scales, wxyz, opacity, label = np.split(table[visible], (3, 6, 10, 11), axis=1)
        colors = MARKER_COLORS[label[:, 0].astype(np.int64)]
        encoder = MarkerEncoder(frame_id, stamp_from_nanoseconds(stamp_ns), NAMESPACE)
        deletions = [encoder.deletion_of_all()] if self._shown.is_first else []
        deletions.append(encoder.deletions(self._shown.replace(set(visible.tolist()))))
        spheres = encoder.shapes(
            Marker.SPHERE,
            visible,
            positions=means,
            orientations=np.roll(wxyz / np.linalg.norm(wxyz, axis=1, keepdims=True), -1, axis=1),
            scales=2 * scales,
            colors=np.concatenate([colors, opacity], 1),
        )
        return marker_array([*deletions, spheres])


def _table(gaussians: Gaussians) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """float64 [N, 12] means, scales, quaternions wxyz, opacities, labels: one copy to the host."""
    labels = gaussians.logits.argmax(-1) + 1
    columns = [
        gaussians.means,
        gaussians.scales,
        gaussians.quats,
        gaussians.opacities.unsqueeze(-1),
        labels.unsqueeze(-1),
    ]
    return torch.cat([column.float() for column in columns], -1).cpu().double().numpy()
