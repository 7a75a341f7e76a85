"""gfocc for ROS 2: cameras and tf in, semantic occupancy out. Knows nothing of training."""
