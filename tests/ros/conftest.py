"""Every test under tests/ros talks over real DDS, alone on its domain."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def ros_domain() -> Iterator[int]:
    """A ROS domain of this process's own, on this machine only; child processes inherit it."""
    domain = 1 + os.getpid() % 100
    settings = {
        "ROS_DOMAIN_ID": str(domain),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
    }
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    yield domain
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
