import base64
import io
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image
from pydantic_core import PydanticCustomError

from jobs.init_image import read_init_image
from tests.png_chunks import SIGNATURE, chunk, header

MOST = 4096 * 4096


def encoded(image: Image.Image, file_format: str = "PNG", **options: object) -> str:
    data = io.BytesIO()
    image.save(data, file_format, **options)
    return base64.b64encode(data.getvalue()).decode()


def read(text: str) -> Image.Image:
    return Image.open(io.BytesIO(read_init_image(text, MOST)))


def code_of(text: str) -> str:
    with pytest.raises(PydanticCustomError) as caught:
        read_init_image(text, MOST)
    return caught.value.type


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
def test_the_usual_formats_are_read(file_format: str) -> None:
    image = read(encoded(Image.new("RGB", (32, 16), "red"), file_format))
    assert (image.mode, image.size, image.format) == ("RGB", (32, 16), "PNG")


def test_a_data_url_is_accepted() -> None:
    text = "data:image/png;base64," + encoded(Image.new("RGB", (8, 8)))
    assert read(text).size == (8, 8)


def test_white_is_behind_transparency() -> None:
    half = Image.new("RGBA", (1, 1), (0, 0, 0, 0))
    assert read(encoded(half)).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize(
    "make",
    [
        lambda: encoded(Image.new("CMYK", (4, 4)), "JPEG"),
        lambda: encoded(Image.new("P", (4, 4)), transparency=0),
        lambda: encoded(Image.new("LA", (4, 4))),
        lambda: encoded(Image.new("1", (1, 1))),
    ],
)
def test_any_mode_becomes_rgb(make: Callable[[], str]) -> None:
    assert read(make()).mode == "RGB"


@pytest.mark.parametrize("alpha", [0, 1, 64, 127, 128, 254, 255])
def test_a_half_transparent_picture_is_blended_with_white(alpha: int) -> None:
    seen = read(encoded(Image.new("RGBA", (1, 1), (10, 120, 250, alpha)))).getpixel((0, 0))
    assert isinstance(seen, tuple)
    for value, of_white in zip(seen, (10, 120, 250), strict=True):
        assert abs(value - (of_white * alpha + 255 * (255 - alpha)) / 255) <= 1


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    image = Image.new("I;16", (1, 1), 0x8000)
    grey = read(encoded(image)).getpixel((0, 0))
    assert isinstance(grey, tuple)
    assert abs(grey[0] - 0x80) <= 1


def test_a_turned_photograph_is_set_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    assert read(encoded(Image.new("RGB", (30, 10)), "JPEG", exif=exif)).size == (10, 30)


@pytest.mark.parametrize("text", ["!!!!", "YQ", "YQ==junk", "é"])
def test_what_is_not_base64_is_said_so(text: str) -> None:
    assert code_of(text) == "not_base64"


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"8BPS\0\1" + b"\0" * 40]
)
def test_what_is_no_picture_is_said_so(data: bytes) -> None:
    assert code_of(base64.b64encode(data).decode()) == "not_an_image"


def test_other_formats_are_not_opened() -> None:
    assert code_of(encoded(Image.new("RGB", (4, 4)), "GIF")) == "not_an_image"


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
def test_half_a_picture_is_damaged(file_format: str, mode: str) -> None:
    noise = Image.effect_noise((64, 64), 50).convert(mode)
    data = base64.b64decode(encoded(noise, file_format))
    assert code_of(base64.b64encode(data[: len(data) // 2]).decode()) == "image_damaged"


def test_a_png_without_its_end_or_with_a_wrong_bit_is_damaged() -> None:
    data = base64.b64decode(encoded(Image.effect_noise((64, 64), 50).convert("RGB")))
    middle = len(data) // 2
    wrong = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
    for damaged in (wrong, data[:-12]):
        assert code_of(base64.b64encode(damaged).decode()) == "image_damaged"


def test_a_bomb_is_refused_by_its_header() -> None:
    assert code_of(_bomb(20_000, 20_000)) == "too_many_pixels"
    assert code_of(_bomb(5_000, 5_000)) == "too_many_pixels"


def _bomb(width: int, height: int) -> str:
    """A 1-bit PNG that is small as a file."""
    pixels = zlib.compress(bytes(width // 8 + 1) * 100, 9)
    data = SIGNATURE + header(width, height, depth=1, colours=0) + chunk(b"IDAT", pixels)
    return base64.b64encode(data + chunk(b"IEND", b"")).decode()


def test_a_plain_png_is_kept_as_it_is() -> None:
    text = encoded(Image.effect_noise((24, 16), 50).convert("RGB"))
    assert read_init_image(text, MOST) == base64.b64decode(text)


@pytest.mark.parametrize(
    "options",
    [
        {"transparency": (255, 0, 0)},
        {"save_all": True, "append_images": [Image.new("RGB", (8, 8), "blue")]},
        {"exif": b"Exif\0\0" + b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x01\0\0\0\0\0\0\0"},
    ],
    ids=["transparent colour", "animation", "EXIF"],
)
def test_any_other_png_is_written_anew(options: dict[str, Any]) -> None:
    text = encoded(Image.new("RGB", (8, 8), "red"), **options)
    image = read(text)
    assert read_init_image(text, MOST) != base64.b64decode(text)
    assert (image.mode, image.size, image.format) == ("RGB", (8, 8), "PNG")
    assert not image.getexif()
    assert getattr(image, "n_frames", 1) == 1


TURNED = Image.Exif()
TURNED[0x0112] = 6
XMP = b'<rdf:Description tiff:Orientation="6"/>'


@pytest.mark.parametrize(
    "words",
    [
        chunk(b"eXIf", TURNED.tobytes().removeprefix(b"Exif\0\0")),
        chunk(b"tEXt", b"exif\0" + TURNED.tobytes()),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
    ],
    ids=["EXIF", "EXIF in a text", "XMP"],
)
@pytest.mark.parametrize("behind", [False, True], ids=["before the pixels", "behind them"])
def test_a_png_is_set_upright_wherever_it_says_that_it_is_turned(
    words: bytes, behind: bool
) -> None:
    data = base64.b64decode(encoded(Image.new("RGB", (8, 4), "red")))
    at = data.index(b"IEND" if behind else b"IDAT") - 4
    turned = data[:at] + words + data[at:]
    assert read(base64.b64encode(turned).decode()).size == (4, 8)
