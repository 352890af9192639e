import base64
import io
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydantic_core import PydanticCustomError

from jobs.pictures.init_image import read_init_image
from jobs.pictures.picture_formats import IN_WORDS, PILLOW_NAMES
from tests.png_chunks import SIGNATURE, chunk, header

MOST = 4096 * 4096


def encoded(image: Image.Image, file_format: str = "PNG", **options: object) -> str:
    data = io.BytesIO()
    image.save(data, file_format, **options)
    return base64.b64encode(data.getvalue()).decode()


def read(text: str) -> Image.Image:
    return Image.open(io.BytesIO(read_init_image(text, MOST)))


def colour_of(image: Image.Image) -> tuple[int, ...]:
    colour = image.getpixel((0, 0))
    assert isinstance(colour, tuple)
    return colour


def code_of(text: str) -> str:
    with pytest.raises(PydanticCustomError) as caught:
        read_init_image(text, MOST)
    return caught.value.type


@pytest.mark.parametrize("file_format", PILLOW_NAMES)
def test_every_listed_format_is_read(file_format: str) -> None:
    image = read(encoded(Image.new("RGB", (32, 16), "red"), file_format))
    assert (image.mode, image.size, image.format) == ("RGB", (32, 16), "PNG")
    for value, of_red in zip(colour_of(image), (255, 0, 0), strict=True):
        assert abs(value - of_red) < 8


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
        lambda: encoded(Image.new("CMYK", (4, 4)), "TIFF"),
        lambda: encoded(Image.new("F", (4, 4)), "TIFF"),
        lambda: encoded(Image.new("P", (4, 4)), "GIF", transparency=0),
        lambda: encoded(Image.new("L", (4, 4)), "BMP"),
        lambda: encoded(Image.new("L", (64, 64)), "HEIF"),
        lambda: encoded(Image.new("LA", (64, 64)), "AVIF"),
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


@pytest.mark.parametrize("file_format", ["AVIF", "TIFF", "GIF", "HEIF"])
def test_white_is_behind_the_transparency_of_every_format(file_format: str) -> None:
    clear = encoded(Image.new("RGBA", (64, 64), (0, 0, 0, 0)), file_format)
    assert colour_of(read(clear)) == (255, 255, 255)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_not_clipped(file_format: str) -> None:
    image = Image.new("I;16", (1, 1), 0x8000)
    assert abs(colour_of(read(encoded(image, file_format)))[0] - 0x80) <= 1


@pytest.mark.parametrize("file_format", ["JPEG", "WEBP", "AVIF", "TIFF"])
def test_a_turned_photograph_is_set_upright(file_format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    assert read(encoded(Image.new("RGB", (64, 32)), file_format, exif=exif)).size == (32, 64)


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "AVIF", "TIFF", "HEIF"])
def test_the_first_of_several_pictures_is_taken(file_format: str) -> None:
    first, second = (Image.new("RGB", (64, 64), colour) for colour in ("white", "black"))
    text = encoded(first, file_format, save_all=True, append_images=[second])
    assert min(colour_of(read(text))) > 250


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"8BPS\0\1" + b"\0" * 40]
)
def test_what_is_no_picture_is_said_so(data: bytes) -> None:
    assert code_of(base64.b64encode(data).decode()) == "not_an_image"


@pytest.mark.parametrize("file_format", ["ICO", "JPEG2000", "PCX", "TGA", "PPM", "EPS", "PDF"])
def test_other_formats_are_not_opened(file_format: str) -> None:
    assert code_of(encoded(Image.new("RGB", (16, 16)), file_format)) == "not_an_image"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG"),
        (b'<?xml version="1.0"?>\n<!-- drawn -->\n<svg>', "an SVG"),
        (b"8BPS\0\1" + b"\0" * 40, "a Photoshop file (PSD)"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "an EPS or PostScript file"),
        (b"%PDF-1.7", "a PDF"),
        (b"<!doctype html><title>404</title>", "a web page"),
        (b"\0\0\0\x20ftypisom", "a video"),
        (b"iVBORw0KGgoAAAANSUhEUg", "base64 twice"),
        (b"\0\0\1\0\1\0\x10\x10", "an icon (ICO)"),
        (b"\0\0\2\0\0\0\0\0", f"not a {IN_WORDS} image"),  # a TGA
        (b"", "empty"),
    ],
)
def test_a_file_that_is_not_read_is_named(data: bytes, name: str) -> None:
    with pytest.raises(PydanticCustomError) as caught:
        read_init_image(base64.b64encode(data).decode() or "data:image/png;base64,", MOST)
    assert (caught.value.type, caught.value.message()) == ("not_an_image", f"is {name}")


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("file_format", PILLOW_NAMES)
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


@pytest.mark.parametrize("kind", ["text", "compressed text", "international text"])
def test_a_png_with_long_text_is_a_picture(kind: str) -> None:
    words = PngInfo()
    workflow = '{"nodes": []} ' * 300_000
    if kind == "international text":
        words.add_itxt("workflow", workflow, zip=True)
    else:
        words.add_text("workflow", workflow, zip=kind == "compressed text")
    stored = read_init_image(encoded(Image.new("RGB", (8, 8), "red"), pnginfo=words), MOST)

    assert len(stored) < 1000
    assert colour_of(Image.open(io.BytesIO(stored))) == (255, 0, 0)


def test_a_png_with_many_texts_is_a_picture() -> None:
    words = PngInfo()
    for _ in range(100):
        words.add_text("note", "a" * 900_000, zip=True)
    assert read(encoded(Image.new("RGB", (8, 8)), pnginfo=words)).size == (8, 8)


def directory(*tags: tuple[int, int, int, int]) -> bytes:
    """The beginning of a TIFF, or EXIF: tags with their type, count and value or its offset."""
    rows = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + rows + bytes(4)


MANY_VALUES = directory(*((1000 + tag, 7, 1_000_000, 8) for tag in range(2000))) + bytes(1_000_000)
"""A megabyte, of which each of 2,000 tags wants a copy."""
SIDES = ((256, 4, 1, 64), (257, 4, 1, 64), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1))
TILES = ((322, 4, 1, 30_000), (323, 4, 1, 30_000), (324, 4, 1, 200), (325, 4, 1, 1000))
STRIPS = ((273, 4, 1_000_000, 200), (278, 4, 1, 1), (279, 4, 1, 64))


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: MANY_VALUES, "image_damaged"),
        (lambda: directory(*SIDES, *STRIPS) + bytes(4_000_000), "image_damaged"),
        (lambda: directory(*SIDES, (277, 3, 1, 1), *TILES) + bytes(1000), "too_many_pixels"),
        *(
            (lambda kind=kind: with_exif(kind, MANY_VALUES), "image_damaged")
            for kind in ("PNG", "WEBP")
        ),
    ],
    ids=["tags", "strips", "tiles", "EXIF of a PNG", "EXIF of a WebP"],
)
def test_a_small_file_cannot_ask_for_much_memory(make: Callable[[], bytes], code: str) -> None:
    text = base64.b64encode(make()).decode()
    tracemalloc.start()
    try:
        assert code_of(text) == code
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()


def with_exif(file_format: str, exif: bytes) -> bytes:
    return base64.b64decode(encoded(Image.new("RGB", (8, 8)), file_format, exif=b"Exif\0\0" + exif))
