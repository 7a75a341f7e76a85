#!/bin/sh
# Make .venv ready: Python packages, ROS 2 (from the sourced environment, else from PyPI) and
# this package. Does nothing when the last run was made from the same files.
set -eu
cd "$(dirname "$0")/.."
venv=.venv
stamp=$venv/.installed
python=${PYTHON:-python3}

fail() {
    echo "install: $1" >&2
    exit 2
}

command -v "$python" >/dev/null || fail "'$python' not found: apt install python3 python3-venv"
"$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' ||
    fail "$("$python" -V 2>&1) at $(command -v "$python"): need 3.10 to 3.13; name one with PYTHON=..."
"$python" -c 'import venv, ensurepip' 2>/dev/null || fail "no venv module: apt install python3-venv"

if [ -n "${ROS_DISTRO:-}" ]; then
    "$python" -c 'import rclpy' 2>/dev/null ||
        fail "ROS 2 $ROS_DISTRO is sourced, but $("$python" -V 2>&1) at $(command -v "$python") cannot import rclpy; name ROS's own Python with PYTHON=/usr/bin/python3"
    ros="ROS 2 $ROS_DISTRO of this shell"
    extras=data,synthetic,train,labels,dev
else
    # a ROS made of wheels restarts Python once with its own library path and marks that here;
    # inherited from another venv both would be wrong
    if [ -n "${_ROS_WHEELS_BOOTSTRAP_COMPLETE:-}" ]; then
        unset _ROS_WHEELS_BOOTSTRAP_COMPLETE LD_LIBRARY_PATH
    fi
    ros="ROS 2 Kilted from PyPI"
    extras=data,synthetic,train,labels,dev,ros-wheels
fi

wanted=$({
    "$python" -c 'import sys; print(sys.version, sys.base_prefix)'
    echo "$PWD" "$ros"
    find setup.py setup.cfg pyproject.toml packaging -type f |
        LC_ALL=C sort | xargs sha256sum
} | sha256sum)
[ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && exit 0

echo "install: $ros, into $venv" >&2
rm -f "$stamp"
if [ -n "${ROS_DISTRO:-}" ]; then
    "$python" -m venv --system-site-packages "$venv"
else
    "$python" -m venv "$venv"
fi
export PIP_DISABLE_PIP_VERSION_CHECK=1
"$venv/bin/pip" install --quiet --editable ".[$extras]"
"$venv/bin/pip" install --quiet --no-deps groundingdino-py==0.4.0
if ! "$venv/bin/python" -c 'import tf2_msgs' 2>/dev/null; then
    command -v g++ >/dev/null || fail "tf2_msgs must be compiled, and g++ is missing: apt install g++"
    "$venv/bin/pip" install --quiet ./packaging/tf2_msgs
fi
# an editable install leaves data_files out; link them, as colcon's --symlink-install does
share=$venv/share/gfocc_ros
mkdir -p "$share" "$venv/lib/gfocc_ros" "$venv/share/ament_index/resource_index/packages"
ln -sfn "$PWD/launch" "$PWD/config" "$PWD/rviz" "$PWD/foxglove" "$PWD/assets" "$PWD/package.xml" "$share/"
ln -sf "$PWD/resource/gfocc_ros" "$venv/share/ament_index/resource_index/packages/"
ln -sf "$PWD"/packaging/executables/* "$venv/lib/gfocc_ros/"
"$venv/bin/python" -c 'import torch, rclpy, tf2_msgs.msg, gfocc_ros' ||
    fail "the installed packages do not import; remove $venv and try again"
echo "$wanted" >"$stamp"
