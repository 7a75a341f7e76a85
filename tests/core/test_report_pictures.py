"""The pictures show what they are given: equal labels alike, different ones differently."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence
from torch import Tensor

from gfocc_core.data.occ3d import Occ3dLabels
from gfocc_core.grid import OCC3D_GRID
from gfocc_core.metrics.sample_counts import SampleCounts, count_predictions
from gfocc_core.report import comparison_sheet, drive_animation
from gfocc_core.report.birds_eye import draw_birds_eye
from gfocc_core.report.camera_sheet import GAP, TILE_WIDTH, draw_camera_sheet
from gfocc_core.report.camera_tiles import camera_rows, draw_camera, front_camera
from gfocc_core.report.comparison_sheet import DriveScores, draw_comparison_sheet
from gfocc_core.report.drive_animation import draw_animation_frame, write_animation
from gfocc_core.report.snapshot import Comparison, Snapshot
from gfocc_core.taxonomy import COLORS, FREE_ID
from tests.core.conftest import MakeFrame, make_rig

GRID = OCC3D_GRID


def street() -> Tensor:
    """A road, a car ahead on the left, a wall on the right."""
    labels = torch.full(GRID.shape, FREE_ID, dtype=torch.uint8)
    labels[:, 80:120, 2] = 11
    labels[125:136, 104:109, 3:7] = 4
    labels[:, 70, 3:12] = 15
    return labels


@functools.cache
def perfect_counts() -> SampleCounts:
    origins = torch.tensor([[0.0, 0.0, 1.8]])
    everything = torch.ones(GRID.shape, dtype=torch.bool)
    return count_predictions([street()], street(), everything, origins)[0]


@pytest.fixture
def snapshot(make_frame: MakeFrame) -> Snapshot:
    """A perfect prediction; every voxel is seen."""
    labels, seen = street(), torch.ones(GRID.shape, dtype=torch.bool)
    truth = Occ3dLabels(labels.clone(), seen, seen)
    comparison = Comparison(labels, truth, perfect_counts())
    return Snapshot("street, 0.0 s", 0.0, make_frame(), labels, comparison)


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture).astype(int)


def sheet_panels(sheet: Image.Image) -> tuple[np.ndarray, np.ndarray]:
    """Both columns of views, as the sheet's layout has them."""
    size, left = comparison_sheet.PANEL_SIZE, comparison_sheet.MARGIN
    top = comparison_sheet._HEAD + comparison_sheet._CAPTION
    everything = pixels(sheet)[top:-left]
    second = left + size + comparison_sheet.GAP
    return everything[:, left : left + size], everything[:, second : second + size]


def test_from_above_each_class_lies_where_it_is() -> None:
    picture = pixels(draw_birds_eye(street(), GRID, 400))
    assert picture.shape == (400, 400, 3)
    # Two pixels per voxel; row 0 is x = 40 m, column 0 is y = 40 m.
    car = picture[2 * (200 - 130), 2 * (200 - 106)]
    wall = picture[300, 2 * (200 - 70) - 1]
    road = picture[350, 230]
    for pixel, label in ((car, 4), (wall, 15), (road, 11)):
        assert np.abs(pixel - np.array(COLORS[label]) * pixel.max() / max(COLORS[label])).max() < 8


def test_from_above_unseen_columns_are_dimmed() -> None:
    seen = torch.zeros(GRID.shape, dtype=torch.bool)
    seen[100:] = True
    half = pixels(draw_birds_eye(street(), GRID, 400, seen))
    full = pixels(draw_birds_eye(street(), GRID, 400))
    assert np.array_equal(half[:150], full[:150])
    assert not np.array_equal(half[260, 230], full[260, 230])
    assert half[260, 20].sum() < full[260, 20].sum()


def test_a_perfect_prediction_draws_equal_panels(snapshot: Snapshot) -> None:
    prediction, truth = sheet_panels(draw_comparison_sheet(snapshot, GRID))
    assert np.array_equal(prediction, truth)
    assert len(np.unique(prediction.reshape(-1, 3), axis=0)) > 10


def test_a_missed_car_shows(snapshot: Snapshot) -> None:
    assert snapshot.comparison is not None
    missed = snapshot.labels.clone()
    missed[missed == 4] = FREE_ID
    wrong = replace(snapshot, comparison=replace(snapshot.comparison, prediction=missed))
    prediction, truth = sheet_panels(draw_comparison_sheet(wrong, GRID))
    differs = (prediction != truth).any(-1)
    size = comparison_sheet.PANEL_SIZE
    assert differs[:size].any()
    assert differs[size:].any()
    assert differs[:size].mean() < 0.02


def test_a_sheet_without_truth_has_one_column_and_scores_change_the_sheet(
    snapshot: Snapshot,
) -> None:
    assert snapshot.comparison is not None
    whole = draw_comparison_sheet(snapshot, GRID)
    alone = draw_comparison_sheet(replace(snapshot, comparison=None, frame=None), GRID)
    assert alone.width == whole.width - comparison_sheet.PANEL_SIZE - comparison_sheet.GAP
    counts = snapshot.comparison.counts
    scored = draw_comparison_sheet(snapshot, GRID, DriveScores(3, counts, counts), "a note")
    assert scored.width == whole.width
    shared = min(scored.height, whole.height)
    assert not np.array_equal(pixels(scored)[:shared], pixels(whole)[:shared])


def test_cameras_stand_as_they_look() -> None:
    # Cameras every 60 degrees from straight ahead, to the left and around.
    assert camera_rows(make_rig(6)) == ((1, 0, 5), (2, 3, 4))
    assert camera_rows(make_rig(4)) == ((1, 0, 3), (2,))
    assert camera_rows(make_rig(1)) == ((0,),)
    assert front_camera(make_rig(6)) == 0


def test_the_sheet_of_cameras_holds_each_twice(snapshot: Snapshot) -> None:
    assert snapshot.frame is not None
    sheet = draw_camera_sheet(snapshot.frame, snapshot.labels, GRID, "street")
    height = round(TILE_WIDTH * 90 / 160)
    assert sheet.width > 3 * TILE_WIDTH
    assert sheet.height > 4 * height
    empty = torch.full(GRID.shape, FREE_ID, dtype=torch.uint8)
    plain = pixels(draw_camera_sheet(snapshot.frame, empty, GRID, "street"))
    changed = (pixels(sheet) != plain).any((1, 2))
    rows = np.flatnonzero(changed)
    # The upper tile of each pair stays as it was.
    assert rows.min() >= 78 + height + GAP
    assert not changed[78 + 2 * (height + GAP) : 78 + 3 * height + 3 * GAP].any()


def test_voxels_lie_on_the_camera_that_sees_them(make_frame: MakeFrame) -> None:
    frame = make_frame(cameras=4)
    labels = torch.full(GRID.shape, FREE_ID, dtype=torch.uint8)
    labels[125:136, 98:103, 3:7] = 4
    for camera, sees in ((0, True), (1, False), (2, False), (3, False)):
        plain = pixels(draw_camera(frame, camera, 320))
        overlaid = pixels(draw_camera(frame, camera, 320, labels, GRID))
        assert (plain != overlaid).any() == sees


def test_a_camera_without_image_says_so(make_frame: MakeFrame) -> None:
    frame = make_frame(valid=(True, False, True, True, True, True))
    tile = draw_camera(frame, 1, 320, street(), GRID)
    assert tile.size == (320, 180)
    assert len(tile.getcolors(1 << 16) or ()) < 300


def animation_pictures(snapshot: Snapshot, count: int) -> list[Image.Image]:
    return [
        draw_animation_frame(replace(snapshot, title=f"street, {step} s"), GRID)
        for step in range(count)
    ]


def test_the_animation_holds_every_frame_in_real_time(snapshot: Snapshot, tmp_path: Path) -> None:
    write_animation(tmp_path / "drive.gif", animation_pictures(snapshot, 4), 0.5)
    with Image.open(tmp_path / "drive.gif") as gif:
        durations = [frame.info["duration"] for frame in ImageSequence.Iterator(gif)]
        assert gif.info["loop"] == 0
        assert gif.width == drive_animation.WIDTH
    assert durations == [500] * 4


def test_the_animation_shrinks_until_it_fits(
    snapshot: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = animation_pictures(snapshot, 2)
    write_animation(tmp_path / "full.gif", pictures, 0.5)
    limit = (tmp_path / "full.gif").stat().st_size - 1
    monkeypatch.setattr(drive_animation, "MAX_BYTES", limit)
    write_animation(tmp_path / "small.gif", pictures, 0.5)
    assert (tmp_path / "small.gif").stat().st_size <= limit
    with Image.open(tmp_path / "small.gif") as gif:
        assert gif.width == round(drive_animation.WIDTH * 0.85)


def test_the_animation_refuses_what_it_cannot_show(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pictures is empty"):
        write_animation(tmp_path / "a.gif", [], 0.5)
    mixed = [Image.new("RGB", (4, 4)), Image.new("RGB", (5, 4))]
    with pytest.raises(ValueError, match="must have one size"):
        write_animation(tmp_path / "a.gif", mixed, 0.5)
    assert not (tmp_path / "a.gif").exists()
