"""nuScenes radar files (binary PCD 0.7) as structured arrays with all the fields they hold.

Nothing is filtered, as from a driver: `invalid_state`, `dyn_prop` and `ambig_state` say what
nuscenes-devkit would drop by default. Metres and m/s in the radar's frame (x forward, y left);
`vx_comp`, `vy_comp` are compensated for the vehicle's own motion.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from gfocc_core.data.scenes import DatasetError
from gfocc_ros.bags.clouds import Points

RADAR_FIELDS: Final = (
    *("x", "y", "z", "dyn_prop", "id", "rcs", "vx", "vy", "vx_comp", "vy_comp"),
    *("is_quality_valid", "ambig_state", "x_rms", "y_rms", "invalid_state", "pdh0"),
    *("vx_rms", "vy_rms"),
)
"""The fields that every radar file must have."""

_KINDS: Final = {"F": "f", "I": "i", "U": "u"}
_SIZES: Final = {"F": (4, 8), "I": (1, 2, 4), "U": (1, 2, 4)}


def radar_points(data: bytes, name: str) -> Points:
    """Records [N] of a file's points, in its own layout. A file of one NaN point holds none.

    Raises:
        DatasetError: not such a file, or cut off; the message says `name`.
    """
    try:
        header, body = _split(data)
        layout = _layout(header)
        count = int(header["POINTS"][0])
        if count < 0 or (header["WIDTH"], header["HEIGHT"]) != ([str(count)], ["1"]):
            raise ValueError("WIDTH, HEIGHT and POINTS do not fit each other")
        if len(body) < count * layout.itemsize:
            raise ValueError(f"{len(body)} bytes are too few for {count} points")
        points: Points = np.frombuffer(body, layout, count)
    except KeyError as error:
        raise DatasetError(f"{name} is corrupt: the PCD header lacks {error}") from None
    except (ValueError, IndexError) as error:
        raise DatasetError(f"{name} is corrupt: {error}") from None
    if count and np.isnan(points["x"][0]):
        return points[:0]  # How the devkit, too, reads what nuScenes writes without detections.
    return points


def _split(data: bytes) -> tuple[dict[str, list[str]], bytes]:
    """The header's lines by their first word, and what follows it."""
    header: dict[str, list[str]] = {}
    position = 0
    while "DATA" not in header:
        end = data.find(b"\n", position)
        if end < 0 or end - position > 1000:
            raise ValueError("not a PCD file")
        words = data[position:end].decode("ascii").split()
        position = end + 1
        if words and not words[0].startswith("#"):
            header[words[0]] = words[1:]
    if header["DATA"] != ["binary"]:
        raise ValueError(f"DATA must be binary, got {' '.join(header['DATA'])}")
    return header, data[position:]


def _layout(header: dict[str, list[str]]) -> np.dtype[np.void]:
    names, sizes, kinds = header["FIELDS"], header["SIZE"], header["TYPE"]
    if not len(names) == len(sizes) == len(kinds) == len(header["COUNT"]):
        raise ValueError("FIELDS, SIZE, TYPE and COUNT differ in length")
    if set(header["COUNT"]) != {"1"}:
        raise ValueError("a COUNT other than 1")
    missing = [name for name in RADAR_FIELDS if name not in names]
    if missing:
        raise ValueError(f"the PCD header lacks the fields {', '.join(missing)}")
    formats = []
    for name, size, kind in zip(names, sizes, kinds, strict=True):
        if int(size) not in _SIZES.get(kind, ()):
            raise ValueError(f"field {name} has TYPE {kind} and SIZE {size}")
        formats.append((name, f"<{_KINDS[kind]}{size}"))
    return np.dtype(formats)
