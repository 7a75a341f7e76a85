"""A procedural driving world that writes itself down as a nuScenes-schema dataset with exact truth.

config -> world (ground, objects, ego drive) -> sensors (camera shots, lidar sweeps)
-> truth (occupancy, weak labels) -> export. Deterministic by seed. Run with
`python -m gfocc_core.synthetic --help`.
"""

VERSION = "v1.0-synthetic"
"""Name of a dataset's folder of tables."""
GENERATOR = 1
"""Raised whenever the same configuration gives another dataset."""
