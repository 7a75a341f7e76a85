"""nuScenes scenes to rosbag2 and back onto topics; the commands are gfocc_ros.nuscenes_to_rosbag and
gfocc_ros.play_rosbag."""
