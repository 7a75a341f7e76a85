"""Shared memory for those who send large messages: the Fast DDS profile that lies in `config/`.

Of its own accord a Fast DDS participant has 0.5 MB of shared memory. What does not fit, such as
six JPEGs of 1600x900 sent at one moment, goes by UDP in fragments, and many of them are lost. Where
they are sent again, as a reliable topic does, a cloud of 20 000 voxels (0.7 MB) comes 11 ms late.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import MutableMapping
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from gfocc_ros.shipped_assets import shipped_file

PROFILE: Final = "config/fastdds_large_images.xml"
VARIABLE: Final = "FASTDDS_DEFAULT_PROFILES_FILE"
"""Where Fast DDS is told its profiles."""
OLD_VARIABLE: Final = "FASTRTPS_DEFAULT_PROFILES_FILE"
"""The same before Fast DDS 3; later ones warn of it."""
OLD_DISTROS: Final = ("humble", "iron", "jazzy")

_TRANSPORTS: Final = "FASTDDS_BUILTIN_TRANSPORTS"
_LOCAL_FILES: Final = ("DEFAULT_FASTDDS_PROFILES.xml", "DEFAULT_FASTRTPS_PROFILES.xml")
"""What Fast DDS reads from the working folder."""
_SHARED_MEMORY: Final = Path("/dev/shm")
_MIB: Final = 1 << 20


def use_large_images_profile(
    environment: MutableMapping[str, str] = os.environ,
    shared_memory: Path = _SHARED_MEMORY,
    harm: str = "large images may be lost",
) -> str:
    """Set the profile for what is created after this, unless transports were chosen already.

    Args:
        harm: what happens without it, for what is returned.

    Returns:
        The harm and its reason, in one line; empty where the profile is set or somebody
        chose something else.
    """
    if not environment.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp").startswith("rmw_fastrtps"):
        return ""
    if any(name in environment for name in (VARIABLE, OLD_VARIABLE, _TRANSPORTS)):
        return ""
    if any(Path(name).is_file() for name in _LOCAL_FILES):
        return ""
    profile = shipped_file(PROFILE)
    if profile is None:
        return f"{harm}: {PROFILE} is not installed"
    needed = segment_bytes(profile)
    free = shutil.disk_usage(shared_memory).free if shared_memory.is_dir() else 0
    if free <= needed:
        return (
            f"{harm}: {shared_memory} has {free // _MIB} MiB left, "
            f"more than {needed // _MIB} MiB are needed (docker run --shm-size)"
        )
    old = environment.get("ROS_DISTRO") in OLD_DISTROS
    environment[OLD_VARIABLE if old else VARIABLE] = str(profile)
    return ""


def segment_bytes(profile: Path) -> int:
    """How much shared memory each participant with a profile takes."""
    sizes = ElementTree.parse(profile).iterfind(".//{*}segment_size")
    return sum(int(size.text or 0) for size in sizes)
