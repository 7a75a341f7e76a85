"""gfocc core: camera images to 3D semantic occupancy. Knows nothing of ROS."""
