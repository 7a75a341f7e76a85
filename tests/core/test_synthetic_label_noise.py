"""Degraded labels: exact at strength 0, worse with strength, the same every time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from gfocc_core.data.label_codec import MAX_DEPTH
from gfocc_core.synthetic.label_noise import LabelNoise, degrade, exact_labels, smooth_field
from gfocc_core.synthetic.shots import NO_OBJECT, SKY, CameraShot

NOTHING = LabelNoise(
    boundary=0,
    missed=0,
    confused=0,
    surfaces=0,
    unknown=0,
    depth_scale=0,
    depth_bend=0,
    depth_noise=0,
    depth_blur=0,
)
HEIGHT, WIDTH = 128, 352


def street_shot() -> CameraShot:
    """Sky, a wall, a road with a sidewalk, 24 cars, some others."""
    labels = np.full((HEIGHT, WIDTH), SKY, np.uint8)
    depth = np.zeros((HEIGHT, WIDTH), np.float32)
    objects = np.full((HEIGHT, WIDTH), NO_OBJECT, np.int32)
    labels[30:60], depth[30:60], objects[30:60] = 15, 40.0, 0
    rows = np.arange(60, HEIGHT)
    labels[60:], depth[60:] = 11, (2000.0 / (rows - 10))[:, None]
    labels[60:, :80] = 13
    for number in range(24):
        row, column = 64 + 30 * (number // 12), 8 + 28 * (number % 12)
        box = (slice(row, row + 14), slice(column, column + 18))
        labels[box], depth[box], objects[box] = 4, 12.0 + number, number + 1
    labels[120:126, 200:206], objects[120:126, 200:206] = 0, 25
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    return CameraShot(image, labels, depth, objects)


@pytest.fixture(scope="module")
def shots() -> Mapping[str, CameraShot]:
    return {f"cam_{number}": street_shot() for number in range(3)}


def wrong(found: npt.NDArray[np.uint8], shots: Mapping[str, CameraShot]) -> float:
    return float((found != exact_labels(shots).semantics).mean())


def test_exact_labels_are_the_shots_without_sky_and_others(
    shots: Mapping[str, CameraShot],
) -> None:
    exact = exact_labels(shots)
    shot = shots["cam_0"]
    assert exact.semantics.dtype == np.uint8
    assert exact.depth.dtype == np.float32
    np.testing.assert_array_equal(exact.semantics == 0, np.stack([shot.labels % 255 == 0] * 3))
    known = shot.labels % 255 > 0
    np.testing.assert_array_equal(exact.semantics[1][known], shot.labels[known])
    np.testing.assert_array_equal(exact.depth[2], shot.depth)


def test_strength_zero_is_exact(shots: Mapping[str, CameraShot]) -> None:
    exact, found = exact_labels(shots), degrade(shots, LabelNoise().scaled(0), 1, "token")
    np.testing.assert_array_equal(found.semantics, exact.semantics)
    np.testing.assert_array_equal(found.depth, exact.depth)


def test_errors_depend_on_seed_keyframe_and_camera_only(
    shots: Mapping[str, CameraShot],
) -> None:
    first = degrade(shots, LabelNoise(), 1, "token")
    np.random.default_rng(0).random(100)
    again = degrade(dict(reversed(list(shots.items()))), LabelNoise(), 1, "token")
    np.testing.assert_array_equal(first.semantics, again.semantics[::-1])
    np.testing.assert_array_equal(first.depth, again.depth[::-1])
    assert (first.semantics[0] != first.semantics[1]).any()
    for other in (
        degrade(shots, LabelNoise(), 2, "token"),
        degrade(shots, LabelNoise(), 1, "other"),
    ):
        assert (first.semantics[0] != other.semantics[0]).any()
        assert (first.depth[0] != other.depth[0]).any()


def test_error_grows_with_strength(shots: Mapping[str, CameraShot]) -> None:
    exact = exact_labels(shots)
    seen = exact.depth > 0
    semantic, depth = [], []
    for strength in (0.0, 0.5, 1.0, 2.0):
        noise = LabelNoise().scaled(strength)
        found = [degrade(shots, noise, seed, "token") for seed in range(8)]
        semantic.append(np.mean([wrong(labels.semantics, shots) for labels in found]))
        ratio = [np.log(labels.depth[seen] / exact.depth[seen]) for labels in found]
        depth.append(np.sqrt(np.mean(np.square(ratio))))
    assert (np.diff(semantic) > 0.01).all()
    assert (np.diff(depth) > 0.01).all()
    assert 0.03 < semantic[2] < 0.3
    assert 0.03 < depth[2] < 0.2


def test_boundary_errors_stay_at_borders(shots: Mapping[str, CameraShot]) -> None:
    found = degrade(shots, replace(NOTHING, boundary=4.0), 0, "token").semantics
    exact = exact_labels(shots).semantics
    away = np.zeros((HEIGHT, WIDTH), bool)
    away[38:52, 10:-10] = away[:22] = True
    assert 0.005 < (found != exact).mean() < 0.15
    assert not (found != exact)[:, away].any()


def test_missed_instances_vanish_whole(shots: Mapping[str, CameraShot]) -> None:
    found = degrade(shots, replace(NOTHING, missed=0.5), 0, "token").semantics
    fates = set()
    for camera, shot in enumerate(shots.values()):
        for number in range(1, 25):
            labels = np.unique(found[camera][shot.objects == number])
            assert len(labels) == 1
            fates.add(int(labels[0]))
    assert fates == {0, 4, 11, 13}
    ground = np.stack([(shot.objects < 0) & (shot.labels != SKY) for shot in shots.values()])
    np.testing.assert_array_equal(found[ground], exact_labels(shots).semantics[ground])


def test_confused_instances_become_a_similar_class(shots: Mapping[str, CameraShot]) -> None:
    found = degrade(shots, replace(NOTHING, confused=1.0), 0, "token").semantics
    cars = np.stack([(shot.objects > 0) & (shot.objects < 25) for shot in shots.values()])
    assert (found[cars] == 10).all()


def test_share_of_unknown_pixels_is_as_asked(shots: Mapping[str, CameraShot]) -> None:
    exact = exact_labels(shots).semantics
    found = np.stack(
        [degrade(shots, replace(NOTHING, unknown=0.2), seed, "t").semantics for seed in range(10)]
    )
    lost = ((found == 0) & (exact > 0)).mean()
    assert 0.1 < lost < 0.2
    np.testing.assert_array_equal(found[found > 0], np.broadcast_to(exact, found.shape)[found > 0])


def test_surfaces_are_confused_in_patches(shots: Mapping[str, CameraShot]) -> None:
    found = [
        degrade(shots, replace(NOTHING, surfaces=0.3), seed, "t").semantics for seed in range(10)
    ]
    exact = exact_labels(shots).semantics
    changed = np.stack(found) != exact
    assert 0.01 < changed.mean() < 0.3
    assert set(np.unique(np.broadcast_to(exact, changed.shape)[changed])) <= {11, 13}


def test_scale_error_is_one_factor_per_image(shots: Mapping[str, CameraShot]) -> None:
    found = degrade(shots, replace(NOTHING, depth_scale=0.1), 0, "token").depth
    exact = exact_labels(shots).depth
    ratio = [
        found[camera][exact[camera] > 0] / exact[camera][exact[camera] > 0] for camera in range(3)
    ]
    for values in ratio:
        np.testing.assert_allclose(values, values[0], rtol=1e-5)
    assert len({round(float(values[0]), 4) for values in ratio}) == 3


def test_sky_gets_a_far_depth_and_borders_bleed(shots: Mapping[str, CameraShot]) -> None:
    found = degrade(shots, replace(NOTHING, depth_blur=3.0, sky_depth=200.0), 0, "token").depth
    np.testing.assert_allclose(found[:, :15], 200.0, rtol=1e-5)
    border = found[0, 27:33, 5]
    assert (np.diff(border) < 0).all()
    assert ((border > 40.5) & (border < 199.5)).all()


def test_depth_can_be_stored(shots: Mapping[str, CameraShot]) -> None:
    depth = degrade(shots, LabelNoise(depth_scale=2.0, sky_depth=900.0), 0, "token").depth
    assert np.isfinite(depth).all()
    assert depth.min() > 0
    assert depth.max() <= MAX_DEPTH


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("missed", 1.5),
        ("strength", -1.0),
        ("boundary", float("nan")),
        ("sky_depth", 0.0),
        ("surface_length", 0.0),
    ],
)
def test_impossible_noise_is_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"label_noise.{field} .*got"):
        LabelNoise(**{field: value})


@pytest.mark.parametrize("length", [1.0, 7.3, 40.0, 500.0])
def test_smooth_fields_have_the_asked_shape_and_spread(length: float) -> None:
    random = np.random.default_rng(0)
    fields = np.stack([smooth_field((60, 90), length, random) for _ in range(200)])
    assert fields.shape == (200, 60, 90)
    assert abs(fields.mean()) < 0.15
    assert 0.75 < fields.std() < 1.35
