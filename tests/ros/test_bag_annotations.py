"""Annotated boxes in the bag: where, how large, in which color, and until when."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from nuscenes.nuscenes import NuScenes

from gfocc_core.data.scenes import DatasetError, keyframe_tokens, open_nuscenes
from gfocc_core.taxonomy import CLASS_NAMES, COLORS
from gfocc_ros.bags.annotations import category_color
from gfocc_ros.bags.content import BagContent
from gfocc_ros.bags.conversion import convert_scene
from tests.nuscenes_fixture import BOXES, SCENES, write_nuscenes
from tests.ros.bag_contents import Logged, matrix_from, on_topic, read_bag
from tests.ros.bag_scene import SCENE, FullScene, full_scene, keyframe_stamps

ADD, DELETE, DELETE_ALL = 0, 2, 3
CUBE, TEXT = 1, 9


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> FullScene:
    return full_scene(tmp_path_factory.mktemp("scene"))


@pytest.fixture
def nusc(scene: FullScene) -> NuScenes:
    return scene.nusc


@pytest.fixture
def bag(scene: FullScene) -> list[Logged]:
    return scene.bag


@pytest.fixture
def converted(scene: FullScene, tmp_path: Path) -> Callable[[BagContent], list[Logged]]:
    def convert(content: BagContent) -> list[Logged]:
        convert_scene(scene.nusc, SCENE, tmp_path / "bag", content=content)
        return read_bag(tmp_path / "bag")

    return convert


def test_every_box_stands_where_it_was_annotated(bag: list[Logged], nusc: NuScenes) -> None:
    arrays = on_topic(bag, "/annotations")
    tokens = keyframe_tokens(nusc, SCENE)
    assert sorted(arrays) == keyframe_stamps(nusc)
    for stamp_ns, token in zip(sorted(arrays), tokens, strict=True):
        boxes = {
            (marker.ns, tuple(np.round(matrix_from(m.position, m.orientation), 6).ravel()))
            for marker in arrays[stamp_ns].markers
            if marker.action == ADD
            for m in [marker.pose]
        }
        expected = set()
        for box in (nusc.get_box(annotation) for annotation in nusc.get("sample", token)["anns"]):
            matrix = box.orientation.transformation_matrix
            matrix[:3, 3] = box.center
            expected.add((box.name, tuple(np.round(matrix, 6).ravel())))
        assert boxes == expected
        for marker in arrays[stamp_ns].markers:
            assert marker.header.frame_id == "map"


def test_boxes_have_their_size_and_class_color(bag: list[Logged]) -> None:
    (first, *_) = on_topic(bag, "/annotations").values()
    shown = {marker.ns: marker for marker in first.markers if marker.action == ADD}
    assert len(shown) == len(BOXES)
    for category, _, (width, length, height) in BOXES.values():
        marker = shown[category]
        assert marker.type == CUBE
        scale = (marker.scale.x, marker.scale.y, marker.scale.z)
        np.testing.assert_allclose(scale, (length, width, height))
        color = (marker.color.r, marker.color.g, marker.color.b)
        np.testing.assert_allclose(color, np.array(category_color(category)) / 255, rtol=1e-6)
        assert 0 < marker.color.a < 1
    assert category_color("vehicle.bus.rigid") == COLORS[CLASS_NAMES.index("bus")]
    assert category_color("human.pedestrian.stroller") == COLORS[CLASS_NAMES.index("others")]


def test_objects_keep_their_id_and_are_deleted_when_they_vanish(bag: list[Logged]) -> None:
    arrays = [message.markers for _, message in sorted(on_topic(bag, "/annotations").items())]
    assert [marker.action for marker in arrays[0]].count(DELETE_ALL) == 1
    assert arrays[0][0].action == DELETE_ALL
    shown: set[tuple[str, int]] = set()
    for markers in arrays:
        for marker in markers:
            if marker.action == DELETE:
                shown.remove((marker.ns, marker.id))
            elif marker.action == ADD:
                shown.add((marker.ns, marker.id))
        assert shown == {(m.ns, m.id) for m in markers if m.action == ADD}
    deleted = [[m.ns for m in markers if m.action == DELETE] for markers in arrays]
    assert deleted == [[], [BOXES["gone"][0]], []]


def test_text_is_written_on_request_and_vanishes_with_its_box(
    converted: Callable[[BagContent], list[Logged]], bag: list[Logged]
) -> None:
    without = on_topic(bag, "/annotations").values()
    assert not any(marker.type == TEXT for message in without for marker in message.markers)
    bag = converted(BagContent(("annotations",), annotation_text=True))
    first, second, _ = (message.markers for message in on_topic(bag, "/annotations").values())
    texts = {marker.ns: marker for marker in first if marker.type == TEXT}
    cubes = {marker.ns: marker for marker in first if marker.type == CUBE and marker.ns}
    assert texts["vehicle.car/text"].text.startswith("car ")
    for ns, cube in cubes.items():
        assert texts[f"{ns}/text"].pose.position.z > cube.pose.position.z + cube.scale.z / 2
    gone = BOXES["gone"][0]
    assert {marker.ns for marker in second if marker.action == DELETE} == {gone, f"{gone}/text"}


def test_damaged_annotation_is_named(tmp_path: Path) -> None:
    dataset = write_nuscenes(tmp_path / "nuscenes", SCENES[:1], annotations=True)
    nusc = open_nuscenes(dataset.root, dataset.version)
    nusc.sample_annotation[-1]["size"] = [1, "wide", 2]
    token = nusc.sample_annotation[-1]["token"]
    with pytest.raises(DatasetError, match=f"size of sample_annotation '{token}' must be 3"):
        convert_scene(nusc, SCENE, tmp_path / "bag")
    assert not (tmp_path / "bag").exists()
