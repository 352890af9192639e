"""How many pictures are decoded at once, and the memory that they occupy together."""

import base64
import io
import struct
import subprocess
import sys
from threading import Event, Thread

import pytest
from PIL import Image

from jobs.pictures.decoding import Decoding
from tests.processes import eventually

EIGHT_AT_ONCE = """
import resource, sys, threading
from jobs.pictures.init_image import read_init_image
text = sys.stdin.read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
read = [threading.Thread(target=read_init_image, args=(text, 4096 * 4096)) for _ in range(8)]
for each in read: each.start()
for each in read: each.join()
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


class Picture:
    """A picture that is being decoded until `end` is called."""

    def __init__(self, decoding: Decoding, pixels: int) -> None:
        self._started, self._end = Event(), Event()
        self._thread = Thread(target=self._decode, args=(decoding, pixels))
        self._thread.start()

    def _decode(self, decoding: Decoding, pixels: int) -> None:
        with decoding.room(pixels):
            self._started.set()
            assert self._end.wait(120)

    def started(self, seconds: float = 60) -> bool:
        return eventually(self._started.is_set, seconds)

    def waits(self) -> bool:
        return not self.started(0.2)

    def end(self) -> None:
        self._end.set()
        self._thread.join()


def test_pictures_wait_until_their_pixels_fit() -> None:
    decoding = Decoding(max_pixels=10, max_pictures=9)
    first, second = Picture(decoding, 4), Picture(decoding, 4)
    assert first.started()
    assert second.started()
    large = Picture(decoding, 10)
    assert large.waits()
    small = Picture(decoding, 1)
    assert small.waits()  # it does not overtake
    first.end()
    assert large.waits()
    second.end()
    assert large.started()
    assert small.waits()
    large.end()
    assert small.started()
    small.end()


def test_pictures_wait_until_there_are_fewer() -> None:
    decoding = Decoding(max_pixels=10, max_pictures=2)
    pictures = [Picture(decoding, 1) for _ in range(3)]
    assert eventually(lambda: [each.waits() for each in pictures].count(True) == 1, 60)
    for each in pictures:
        each.end()


def test_a_picture_with_more_pixels_than_the_limit_is_decoded_alone() -> None:
    decoding = Decoding(max_pixels=10, max_pictures=9)
    huge = Picture(decoding, 11)
    assert huge.started()
    other = Picture(decoding, 1)
    assert other.waits()
    huge.end()
    assert other.started()
    other.end()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_eight_large_pictures_at_once_do_not_fill_the_memory(mode: str) -> None:
    data = io.BytesIO()
    Image.new(mode, (4096, 4096), 1).save(data, "PNG")
    assert len(data.getvalue()) < 100_000

    assert mebibytes_of_eight(data.getvalue()) < 400  # it was 2,000


def test_eight_pictures_with_more_pixels_than_their_headers_do_not_fill_the_memory() -> None:
    side = 12_000
    data = io.BytesIO()
    Image.new("RGB", (side, side)).save(data, "AVIF", speed=10)
    lying = data.getvalue().replace(struct.pack(">II", side, side), struct.pack(">II", 64, 64))
    assert lying != data.getvalue()

    assert mebibytes_of_eight(lying) < 600  # it was 1,150


def mebibytes_of_eight(data: bytes) -> int:
    """The memory that a process takes to read a picture eight times at once."""
    ended = subprocess.run(
        [sys.executable, "-c", EIGHT_AT_ONCE],
        input=base64.b64encode(data).decode(),
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    return int(ended.stdout)
