"""`resize_mode`: how a picture of another aspect is brought to the size of the result."""

import base64
import io

import pytest
from PIL import Image

from api.dialects.a1111.init_picture import CROP, FILL, LATENT, STRETCH, read_picture, sized_picture
from jobs.errors import InvalidRequest
from jobs.pictures.init_image import read_init_image
from tests.api.a1111.conftest import encoded, opened

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def stripes() -> str:
    """A picture of 90×30 pixels: a third red, a third green, a third blue."""
    image = Image.new("RGB", (90, 30), RED)
    image.paste(GREEN, (30, 0, 60, 30))
    image.paste(BLUE, (60, 0, 90, 30))
    out = io.BytesIO()
    image.save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def sized(mode: int, size: tuple[int, int] = (90, 90)) -> Image.Image:
    return opened(sized_picture(stripes(), base64.b64decode(stripes()), mode, size))


@pytest.mark.parametrize("mode", [STRETCH, LATENT])
def test_it_is_stretched(mode: int) -> None:
    image = sized(mode)

    assert image.size == (90, 90)
    assert [image.getpixel((x, 45)) for x in (5, 45, 85)] == [RED, GREEN, BLUE]


def test_cropping_is_left_to_the_engine() -> None:
    assert sized(CROP).size == (90, 30)


def test_the_borders_are_filled_with_its_outermost_pixels() -> None:
    image = sized(FILL)

    assert image.size == (90, 90)
    for y in (0, 45, 89):
        assert [image.getpixel((x, y)) for x in (5, 45, 85)] == [RED, GREEN, BLUE]
    wide = sized(FILL, (360, 60))
    assert [wide.getpixel((x, 30)) for x in (0, 180, 359)] == [RED, GREEN, BLUE]


def test_a_picture_of_the_same_aspect_is_passed_on() -> None:
    text = f"data:image/png;base64,{encoded((64, 64))}"

    assert sized_picture(text, base64.b64decode(encoded((64, 64))), STRETCH, (512, 512)) == text


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("http://example.org/a.png", "not_base64"),
        (base64.b64encode(b"text").decode(), "not_an_image"),
        (encoded((64, 64))[:100], "image_damaged"),
        (encoded((200, 200)), "too_many_pixels"),
    ],
)
def test_what_is_no_picture_is_refused(text: str, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_picture(text, read_init_image, 10_000, "init_images.0")

    assert (caught.value.faults[0].field, caught.value.faults[0].code) == ("init_images.0", code)
