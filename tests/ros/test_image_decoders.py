"""JPEGs that a device unpacks: checked by the host, batched, and decoded by it where that fails.

The device is the CPU here, for which torchvision decodes too, so that this runs everywhere.
"""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PilImage
from sensor_msgs.msg import CompressedImage

from gfocc_core.images import ImageDecodeError, ReducedImage
from gfocc_ros.frames import image_decoders
from gfocc_ros.frames.image_decoders import Decoding, ImageDecoders
from tests.ros.camera_messages import HEIGHT, WIDTH, compressed_image, jpeg, picture, raw_image

INPUT_SIZE = (HEIGHT // 2, WIDTH // 2)


@pytest.fixture
def decoders(monkeypatch: pytest.MonkeyPatch) -> Iterator[ImageDecoders]:
    monkeypatch.setattr(image_decoders, "decodes_jpegs", lambda device, count: True)
    made = ImageDecoders(3, INPUT_SIZE, torch.device("cpu"))
    yield made
    made.close()


def counted(monkeypatch: pytest.MonkeyPatch, name: str) -> list[Any]:
    calls: list[Any] = []
    function = getattr(image_decoders, name)

    def count(first: Any, *others: Any, **more: Any) -> Any:
        calls.append(first)
        return function(first, *others, **more)

    monkeypatch.setattr(image_decoders, name, count)
    return calls


def confirmed(decoding: Decoding) -> ReducedImage:
    found = decoding.result()
    decoding.confirm()
    return found.image


def encoded(kind: str) -> CompressedImage:
    stream = io.BytesIO()
    PilImage.fromarray(picture()).save(stream, kind)
    return compressed_image("other", 0, stream.getvalue())


def test_a_frames_jpegs_are_unpacked_at_once_and_at_full_size(
    decoders: ImageDecoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = counted(monkeypatch, "decode_jpegs")
    wide = compressed_image("wide", 0, jpeg(WIDTH * 2, HEIGHT))
    found = decoders.submit({"left": compressed_image("left", 0), "wide": wide})
    left, wider = found["left"].result().image, found["wide"].result().image
    assert [len(batch) for batch in batches] == [2]
    assert (left.full_size, left.reduction) == ((HEIGHT, WIDTH), 1)
    assert (wider.full_size, wider.reduction) == ((HEIGHT, 2 * WIDTH), 1)
    exact = np.array(PilImage.open(io.BytesIO(jpeg())))
    assert np.array_equal(left.pixels.numpy(), exact)
    assert tuple(wider.pixels.shape) == (HEIGHT, 2 * WIDTH, 3)


@pytest.mark.parametrize("damage", ["half", "end in the middle", "hole", "header", "nothing"])
def test_a_damaged_jpeg_is_refused_and_its_neighbours_are_not(
    decoders: ImageDecoders, damage: str
) -> None:
    whole = jpeg()
    middle = len(whole) // 2 + 100
    data = {
        "half": whole[:middle],
        "end in the middle": whole[:middle] + b"\xff\xd9" + whole[middle:],
        "hole": whole[: middle - 50] + whole[middle + 50 :],
        "header": whole[:30],
        "nothing": b"",
    }[damage]
    found = decoders.submit(
        {"left": compressed_image("left", 0, data), "front": compressed_image("front", 0)}
    )
    with pytest.raises(ImageDecodeError, match=f"{len(data)} bytes"):
        confirmed(found["left"])
    assert tuple(confirmed(found["front"]).pixels.shape) == (HEIGHT, WIDTH, 3)


def test_a_picture_does_not_wait_until_its_bytes_are_known_to_be_whole(
    decoders: ImageDecoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = threading.Event()

    def check(_: object) -> None:
        assert known.wait(5)
        raise ValueError("a hole")

    monkeypatch.setattr(image_decoders, "check_jpeg", check)
    decoding = decoders.submit({"left": compressed_image("left", 0)})["left"]
    assert tuple(decoding.result().image.pixels.shape) == (HEIGHT, WIDTH, 3)
    known.set()
    with pytest.raises(ImageDecodeError, match="a hole"):
        decoding.confirm()
    with pytest.raises(ImageDecodeError, match="a hole"):
        decoding.result()


@pytest.mark.parametrize(
    "message",
    [raw_image("other", 0), encoded("PNG"), CompressedImage()],
    ids=["raw", "png", "empty"],
)
def test_what_is_no_jpeg_is_left_to_the_host(
    decoders: ImageDecoders, monkeypatch: pytest.MonkeyPatch, message: Any
) -> None:
    batches = counted(monkeypatch, "decode_jpegs")
    found = decoders.submit({"other": message})["other"]
    if len(message.data):
        image = found.result().image
        assert (image.reduction, image.full_size) == (2, (HEIGHT, WIDTH))
        block_means = picture().reshape(HEIGHT // 2, 2, WIDTH // 2, 2, 3).mean((1, 3))
        assert np.abs(image.pixels.numpy() - block_means).mean() < 1
    else:
        with pytest.raises(ImageDecodeError):
            found.result()
    assert not batches


def test_jpegs_that_the_device_cannot_decode_go_to_the_host(
    decoders: ImageDecoders, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("unsupported subsampling\nand a trace")

    monkeypatch.setattr(image_decoders, "decode_jpegs", fail)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            found = decoders.submit(
                {
                    "left": compressed_image("left", 0),
                    "front": compressed_image("front", 0, jpeg()[:-400]),
                }
            )
            left = found["left"].result().image
            assert (left.reduction, left.full_size) == (2, (HEIGHT, WIDTH))
            with pytest.raises(ImageDecodeError, match="bytes"):
                confirmed(found["front"])
    assert [record.getMessage() for record in caplog.records] == [
        "JPEGs that cpu cannot decode go to the CPU: unsupported subsampling"
    ]


def test_an_expected_jpeg_is_checked_once(
    decoders: ImageDecoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = counted(monkeypatch, "check_jpeg")
    message = compressed_image("left", 0)
    decoders.expect("left", message)
    confirmed(decoders.submit({"left": message})["left"])
    assert len(checks) == 1
    confirmed(decoders.submit({"left": message})["left"])
    assert len(checks) == 2


@pytest.mark.parametrize("name", ["jpeg_size", "check_jpeg"])
def test_a_decoder_that_fails_in_an_unforeseen_way_costs_no_more_than_its_image(
    decoders: ImageDecoders, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def fail(*_: Any) -> None:
        raise SystemError("unforeseen")

    monkeypatch.setattr(image_decoders, name, fail)
    decoding = decoders.submit({"left": compressed_image("left", 0)})["left"]
    if name == "jpeg_size":
        assert decoding.result().image.full_size == (HEIGHT, WIDTH)
    else:
        with pytest.raises(ImageDecodeError, match="unforeseen"):
            confirmed(decoding)
