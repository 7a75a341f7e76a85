"""nuScenes scenes to rosbag2 and back onto topics, and robots' bags to recordings; the commands are
gfocc_ros.nuscenes_to_rosbag, play_rosbag and bag_to_recording."""
