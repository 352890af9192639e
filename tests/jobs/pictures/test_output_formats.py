import base64
import io
from pathlib import Path
from typing import get_args

import pytest
from PIL import Image

from api.dialects.openai.request_models import ImageOptions
from api.recipes.picture_text import read_picture_text
from jobs.pictures.output_formats import BY_SUBTYPE, OUTPUT_FORMATS, PictureFormat, encode

EXAMPLE = next(Path("readme_examples").glob("a-red-scaley-dragon*.png"))
TEXT = "a cat, 東京\nSteps: 3"


def test_all_lists_of_formats_are_the_same() -> None:
    assert tuple(OUTPUT_FORMATS) == get_args(PictureFormat)
    openai = get_args(ImageOptions.model_fields["output_format"].annotation)
    assert openai == tuple(BY_SUBTYPE)


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


@pytest.mark.parametrize(("picture_format", "name"), [("jpg", "JPEG"), ("webp", "WEBP")])
def test_a_lossy_format_has_its_infotext_and_a_quality(
    picture_format: PictureFormat, name: str
) -> None:
    example = Image.open(EXAMPLE).convert("RGB")
    files = [encode(example, picture_format, TEXT, quality) for quality in (1, 40, 95, 100)]
    sizes = [len(file) for file in files]
    assert sizes == sorted(set(sizes))
    again = Image.open(io.BytesIO(files[0]))
    assert again.format == name
    comment = again.getexif().get_ifd(0x8769)[0x9286]
    assert comment == b"UNICODE\0" + TEXT.encode("utf-16-be")


@pytest.mark.parametrize("picture_format", OUTPUT_FORMATS)
def test_the_same_picture_is_the_same_file_and_has_a_text_only_if_there_is_one(
    picture_format: PictureFormat,
) -> None:
    image = Image.new("RGB", (16, 16), "red")
    assert encode(image, picture_format, TEXT) == encode(image, picture_format, TEXT)
    plain = Image.open(io.BytesIO(encode(image, picture_format, "")))
    assert "parameters" not in plain.info
    assert not plain.getexif()


@pytest.mark.parametrize("picture_format", OUTPUT_FORMATS)
@pytest.mark.parametrize("letter", ["Ä", "一", "😀"])
def test_every_prompt_is_read_back(picture_format: PictureFormat, letter: str) -> None:
    text = f"{99 * letter}\nSteps: 3"
    data = encode(Image.new("RGB", (8, 8)), picture_format, text)
    assert read_picture_text(base64.b64encode(data).decode()).infotext == text


@pytest.mark.parametrize(("length", "kept"), [(32_000, True), (40_000, True), (70_000, False)])
def test_a_jpeg_has_as_long_an_infotext_as_it_can_hold(length: int, *, kept: bool) -> None:
    text = "ab" * (length // 2)
    data = encode(Image.new("RGB", (8, 8)), "jpg", text)
    read = read_picture_text(base64.b64encode(data).decode()).infotext
    assert read == (text if kept else "")


@pytest.mark.parametrize(
    ("picture_format", "most"),
    [(name, row.max_side) for name, row in OUTPUT_FORMATS.items() if row.lossy],
)
def test_a_format_holds_sides_as_long_as_it_says(picture_format: PictureFormat, most: int) -> None:
    assert encode(Image.new("RGB", (most, 1)), picture_format, "")
    with pytest.raises((OSError, ValueError)):
        encode(Image.new("RGB", (most + 1, 1)), picture_format, "")
