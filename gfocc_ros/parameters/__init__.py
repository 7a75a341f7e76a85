"""The node's parameters: values, their table, and ROS's declarations."""
