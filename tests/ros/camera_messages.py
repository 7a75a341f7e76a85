"""Camera messages as the node's tests send them."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from gfocc_ros.messages import stamp_from_nanoseconds

WIDTH, HEIGHT = 80, 48


def picture(width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    """uint8 [height, width, 3]: a smooth picture that JPEG keeps."""
    rows, columns = np.mgrid[0:height, 0:width]
    channels = (rows * 255 // height, columns * 255 // width, (rows + columns) % 256)
    return np.stack(channels, 2).astype(np.uint8)


def jpeg(width: int = WIDTH, height: int = HEIGHT) -> bytes:
    stream = io.BytesIO()
    PilImage.fromarray(picture(width, height)).save(stream, "JPEG")
    return stream.getvalue()


def compressed_image(camera: str, stamp_ns: int, data: bytes | None = None) -> CompressedImage:
    message = CompressedImage(format="jpeg", data=jpeg() if data is None else data)
    message.header.stamp = stamp_from_nanoseconds(stamp_ns)
    message.header.frame_id = f"{camera}_optical_frame"
    return message


def raw_image(camera: str, stamp_ns: int) -> Image:
    message = Image(height=HEIGHT, width=WIDTH, encoding="bgr8", step=WIDTH * 3)
    message.data = picture()[..., ::-1].tobytes()
    message.header.stamp = stamp_from_nanoseconds(stamp_ns)
    message.header.frame_id = f"{camera}_optical_frame"
    return message


def camera_info(
    camera: str, stamp_ns: int, focal: float = 40.0, size: tuple[int, int] = (WIDTH, HEIGHT)
) -> CameraInfo:
    width, height = size
    cx, cy = width / 2, height / 2
    message = CameraInfo(width=width, height=height, distortion_model="plumb_bob", d=[0.0] * 5)
    message.k = [focal, 0.0, cx, 0.0, focal, cy, 0.0, 0.0, 1.0]
    message.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.p = [focal, 0.0, cx, 0.0, 0.0, focal, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    message.header.stamp = stamp_from_nanoseconds(stamp_ns)
    message.header.frame_id = f"{camera}_optical_frame"
    return message
