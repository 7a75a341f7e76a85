"""Poses from /tf and /tf_static."""
