"""Merged boxes cover what the voxels cover, no more, no less, and are few."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from gfocc_ros.publishing.voxel_merging import Boxes, merge_voxels

FREE = 17
Labels = NDArray[np.uint8]


def merged(labels: Labels) -> Boxes:
    index = np.argwhere(labels != FREE)
    return merge_voxels(index, labels[tuple(index.T)])


def assert_covers_exactly(boxes: Boxes, labels: Labels) -> None:
    covered = np.full(labels.shape, FREE, np.uint8)
    for label, lower, size in zip(boxes.labels, boxes.lower, boxes.size, strict=True):
        part = tuple(slice(low, low + length) for low, length in zip(lower, size, strict=True))
        assert (lower >= 0).all()
        assert (lower + size <= labels.shape).all()
        assert (covered[part] == FREE).all(), "boxes do not overlap"
        covered[part] = label
    np.testing.assert_array_equal(covered, labels)


@settings(deadline=None, max_examples=150)
@given(
    labels=hnp.arrays(
        np.uint8,
        hnp.array_shapes(min_dims=3, max_dims=3, max_side=9),
        elements=st.sampled_from([0, 4, 16, FREE]),
    )
)
def test_boxes_cover_exactly_the_voxels(labels: Labels) -> None:
    assert_covers_exactly(merged(labels), labels)


@settings(deadline=None, max_examples=50)
@given(
    blocks=hnp.arrays(np.uint8, (2, 3, 2), elements=st.sampled_from([4, 11, FREE])),
    factors=st.tuples(*[st.integers(1, 19)] * 3),
)
def test_boxes_cover_exactly_large_blocks(blocks: Labels, factors: tuple[int, int, int]) -> None:
    labels = np.kron(blocks, np.ones(factors, np.uint8))
    boxes = merged(labels)
    assert_covers_exactly(boxes, labels)
    assert set(boxes.size.ravel().tolist()) <= {1, 2, 4, 8, 16}


@pytest.mark.parametrize(
    ("shape", "count"), [((16, 8, 4), 1), ((3, 1, 1), 2), ((3, 3, 3), 8), ((32, 16, 1), 2)]
)
def test_a_solid_block_becomes_few_boxes(shape: tuple[int, int, int], count: int) -> None:
    labels = np.full((40, 20, 6), FREE, np.uint8)
    labels[tuple(slice(2, 2 + length) for length in shape)] = 4
    assert len(merged(labels)) == count


def test_different_labels_are_never_joined() -> None:
    labels = np.array([4, 5], np.uint8).repeat(8)[None, :, None]
    boxes = merged(labels)
    assert sorted(zip(boxes.labels.tolist(), boxes.size[:, 1].tolist(), strict=True)) == [
        (4, 8),
        (5, 8),
    ]


def test_nothing_is_no_box() -> None:
    assert len(merged(np.full((3, 3, 3), FREE, np.uint8))) == 0
