"""A procedural driving world that writes itself down as a nuScenes-schema dataset with exact truth.

config -> world (ground, objects, ego drive) -> sensors (camera shots, lidar sweeps)
-> truth (occupancy, weak labels) -> export. Deterministic by seed. Run with
`python -m gfocc_core.synthetic --help`.
"""
