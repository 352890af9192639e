import io
from pathlib import Path

import pytest
from PIL import Image

from worker.execution.picture_encoding import encode, grid

EXAMPLE = next(Path("readme_examples").glob("a-red-scaley-dragon*.png"))
TEXT = "a cat, 東京\nSteps: 3"


def test_a_png_has_every_pixel_and_its_infotext() -> None:
    image = Image.effect_noise((16, 16), 90).convert("RGB")
    again = Image.open(io.BytesIO(encode(image, "png", TEXT)))
    assert again.tobytes() == image.tobytes()
    assert again.info["parameters"] == TEXT


def test_a_png_is_no_larger_than_pillows_own() -> None:
    example = Image.open(EXAMPLE).convert("RGB")
    plain = io.BytesIO()
    example.save(plain, "PNG")
    assert len(encode(example, "png", "")) < len(plain.getvalue())


def test_a_jpeg_has_its_infotext() -> None:
    again = Image.open(io.BytesIO(encode(Image.new("RGB", (16, 16)), "jpg", TEXT)))
    assert again.format == "JPEG"
    comment = again.getexif().get_ifd(0x8769)[0x9286]
    assert comment == b"UNICODE\0" + TEXT.encode("utf-16-be")


def test_a_jpeg_of_less_quality_is_smaller() -> None:
    example = Image.open(EXAMPLE).convert("RGB")
    sizes = [len(encode(example, "jpg", TEXT, quality)) for quality in (1, 40, 95, 100)]
    assert sizes == sorted(set(sizes))


def test_the_same_picture_is_the_same_file() -> None:
    image = Image.new("RGB", (16, 16), "red")
    assert encode(image, "png", TEXT) == encode(image, "png", TEXT)


@pytest.mark.parametrize(
    ("count", "rows", "size"),
    [(4, 2, (2, 2)), (4, 1, (4, 1)), (4, 4, (1, 4)), (5, 2, (3, 2)), (3, 9, (1, 3))],
)
def test_a_grid_has_the_rows_asked_for(count: int, rows: int, size: tuple[int, int]) -> None:
    images = [Image.new("RGB", (1, 1), (n + 1, 0, 0)) for n in range(count)]
    sheet = grid(images, rows)
    assert sheet.size == size
    reds = sheet.getchannel("R").tobytes()
    assert list(reds[:count]) == [n + 1 for n in range(count)]
