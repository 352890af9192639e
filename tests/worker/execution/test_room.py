"""The room that is asked for is enough, whatever the images show."""

import random

import pytest
from PIL import Image

from jobs.names import GenerationKind
from jobs.pictures.output_formats import OUTPUT_FORMATS, encode
from jobs.validation.request import parse_request
from tests.worker.conftest import png
from worker.execution.picture_grid import grid
from worker.execution.room import room_of

NO_INPUT = Image.new("RGB", (64, 64))
INFOTEXT = "a red cat, " * 200


@pytest.mark.parametrize("picture_format", OUTPUT_FORMATS)
@pytest.mark.parametrize(
    ("kind", "body", "side", "prompts"),
    [
        ("txt2img", {"H": 64, "W": 64}, 64, 1),
        ("txt2img", {"H": 64, "W": 64, "n_iter": 2, "n_samples": 2}, 64, 2),
        ("txt2img", {"H": 256, "W": 256, "n_iter": 3, "skip_grid": False}, 256, 1),
        ("txt2img", {"H": 64, "W": 64, "output_width": 200, "output_height": 200}, 200, 1),
        ("img2img", {"H": 128, "W": 128, "post_upscale": True}, 256, 1),
        ("img2img", {"H": 64, "W": 64, "extend": {"left": 192, "bottom": 192}}, 256, 1),
    ],
)
def test_noise_fits(
    kind: GenerationKind, body: dict[str, object], side: int, prompts: int, picture_format: str
) -> None:
    inputs = {"init_img": png(NO_INPUT)} if kind == "img2img" else {}
    fields = {"prompt": "a", "type": "standard", "format": picture_format, "jpeg_quality": 100}
    request = parse_request(kind, fields | inputs | body)
    count = request.image_count * prompts
    pixels = random.Random(1).randbytes(3 * side * side)
    noise = [Image.frombytes("RGB", (side, side), pixels)] * count
    images = noise if request.skip_grid else [*noise, grid(noise, 1)]
    stored = sum(
        len(encode(image, request.format, INFOTEXT, request.jpeg_quality)) for image in images
    )
    assert stored < room_of(request, [(side, side)] * count) < 4 * stored
