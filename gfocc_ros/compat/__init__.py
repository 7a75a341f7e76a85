"""Stand-ins for ROS 2 packages that a machine with ROS from PyPI only lacks; else unused.

Only gfocc_ros may import from here, and tf only through `gfocc_ros.compat.tf`, which takes the
standard package wherever that can be imported.
"""
