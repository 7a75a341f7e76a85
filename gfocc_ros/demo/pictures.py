"""The demo's pictures: one keyframe in detail, and the whole drive as an animation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from gfocc_core.grid import OCC3D_GRID
from gfocc_core.report.camera_sheet import draw_camera_sheet
from gfocc_core.report.comparison_sheet import DriveScores, draw_comparison_sheet
from gfocc_core.report.drive_animation import draw_animation_frame, write_animation
from gfocc_core.report.snapshot import Comparison, Snapshot
from gfocc_ros.demo.collector import DemoCollector, Output
from gfocc_ros.demo.scores import ScoredOutput

MAX_FRAMES = 60
"""Longest animation."""
_WORKERS = 2
_REAL_TIME_S = 0.5
"""How long a lone picture stands."""


@dataclass(frozen=True)
class Drive:
    """What came out of a drive, ready to be drawn."""

    scene: str
    keyframes: int
    collector: DemoCollector
    labels: Mapping[int, Tensor]
    """Published labels uint8 [X, Y, Z] by stamp in ns."""
    scored: Mapping[int, ScoredOutput]
    """Those of them whose truth is known."""
    scores: DriveScores | None
    note: str
    """A remark that stands on every picture."""

    def snapshot(self, output: Output) -> Snapshot:
        """One output with its images and its truth."""
        stamp_ns = output.stamp_ns
        seconds = (stamp_ns - self.collector.outputs[0].stamp_ns) * 1e-9
        scored = self.scored.get(stamp_ns)
        if scored is None:
            moment, comparison = "", None
        else:
            moment = f"keyframe {scored.truth.number} of {self.keyframes}, "
            comparison = Comparison(scored.labels, scored.truth.labels, scored.counts)
        return Snapshot(
            title=f"{self.scene}, {moment}{seconds:.1f} s",
            seconds=seconds,
            frame=self.collector.frame_of(output),
            labels=self.labels[stamp_ns],
            comparison=comparison,
        )


def draw_pictures(drive: Drive, out: Path) -> list[Path]:
    """Write `birds_eye.png`, `cameras.png` (if images can be posed) and `drive.gif`; their paths."""
    typical = drive.snapshot(_typical(drive))
    paths = [out / "birds_eye.png"]
    sheet = draw_comparison_sheet(typical, OCC3D_GRID, drive.scores, drive.note)
    sheet.save(paths[0])
    if typical.frame is not None:
        paths.append(out / "cameras.png")
        draw_camera_sheet(
            typical.frame, typical.labels, OCC3D_GRID, typical.title, drive.note
        ).save(paths[-1])
    paths.append(out / "drive.gif")
    _animate(drive, paths[-1])
    return paths


def _typical(drive: Drive) -> Output:
    """The output of median mIoU; without scores the last one."""
    outputs = [o for o in drive.collector.outputs if o.stamp_ns in drive.scored]
    by_score = sorted(outputs, key=lambda output: _miou(drive.scored[output.stamp_ns]))
    return by_score[len(by_score) // 2] if by_score else drive.collector.outputs[-1]


def _miou(scored: ScoredOutput) -> float:
    miou = scored.counts.headline().miou
    return -1.0 if math.isnan(miou) else miou


def _animate(drive: Drive, path: Path) -> None:
    shown = _shown_outputs(drive)
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="draw") as pool:
        drawn = pool.map(
            lambda output: draw_animation_frame(drive.snapshot(output), OCC3D_GRID, drive.note),
            shown,
        )
        pictures = list(drawn)
    # A snapshot without images is lower than the others.
    height = max(picture.height for picture in pictures)
    pictures = [picture for picture in pictures if picture.height == height]
    span_s = (shown[-1].stamp_ns - shown[0].stamp_ns) * 1e-9
    each_s = span_s / (len(shown) - 1) if len(shown) > 1 else _REAL_TIME_S
    write_animation(path, pictures, each_s)


def _shown_outputs(drive: Drive) -> Sequence[Output]:
    """Outputs with a truth if there are any, evenly thinned to what an animation holds."""
    outputs = drive.collector.outputs
    outputs = [o for o in outputs if o.stamp_ns in drive.scored] or outputs
    return outputs[:: -(-len(outputs) // MAX_FRAMES)]
