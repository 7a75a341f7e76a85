"""Names in tables that would leave the data set's folder name no ground truth either."""

from __future__ import annotations

from pathlib import Path

import pytest

from gfocc_core.data.occ3d import occ3d_path
from gfocc_core.data.scenes import DatasetError


def test_ground_truth_lies_below_the_data_set(tmp_path: Path) -> None:
    path = occ3d_path(tmp_path, "scene-0001", "a..b")
    assert path == tmp_path / "gts/scene-0001/a..b/labels.npz"


@pytest.mark.parametrize("name", ["", ".", "..", "../..", "a/b", "/etc", "a\\b", "a/../../.."])
def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetError, match=r"scene '.*' cannot name a folder below"):
        occ3d_path(tmp_path, name, "token")
    with pytest.raises(DatasetError, match=r"sample token '.*' cannot name a folder below"):
        occ3d_path(tmp_path, "scene-0001", name)
