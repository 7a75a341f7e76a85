"""Recordings from disk: nuScenes scenes and keyframes, and the Occ3D ground truth beside them.

For training, evaluation, labelling and the rosbag converter. The online path (model, voxelizer,
renderer, predictor) never imports it, so a robot needs no nuscenes-devkit.
"""
