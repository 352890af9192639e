"""OpenAI's own SDK, unmodified, against the whole service with the shipped model."""

import base64
import io
from collections.abc import Iterator
from typing import Any

import httpx2
import numpy
import openai
import pytest
from openai.types import ImagesResponse
from PIL import Image

from api.auth import DUMMY_KEY

pytestmark = pytest.mark.service

SMALL: dict[str, Any] = {"model": "tiny", "size": "192x192", "extra_body": {"steps": 4, "seed": 7}}


@pytest.fixture(scope="module")
def http() -> Iterator[httpx2.Client]:
    with httpx2.Client(trust_env=False, timeout=240) as client:
        yield client


@pytest.fixture(scope="module")
def sdk(service: str, http: httpx2.Client) -> openai.OpenAI:
    return openai.OpenAI(
        api_key=DUMMY_KEY, base_url=f"{service}/v1", max_retries=0, http_client=http
    )


def images(answer: ImagesResponse) -> list[Image.Image]:
    assert answer.data
    return [Image.open(io.BytesIO(base64.b64decode(image.b64_json or ""))) for image in answer.data]


def file(colour: str = "red") -> tuple[str, bytes, str]:
    return encoded(Image.new("RGB", (192, 192), colour))


def encoded(image: Image.Image) -> tuple[str, bytes, str]:
    data = io.BytesIO()
    image.save(data, "PNG")
    return "picture.png", data.getvalue(), "image/png"


def test_images_are_generated_and_edited(sdk: openai.OpenAI) -> None:
    generated = sdk.images.generate(prompt="a red cat", n=2, **SMALL)
    pictures = images(generated)
    assert [(picture.size, picture.format) for picture in pictures] == [((192, 192), "PNG")] * 2
    assert pictures[0].tobytes() != pictures[1].tobytes()
    assert generated.usage and generated.size == "192x192"

    blue = {**SMALL, "extra_body": {**SMALL["extra_body"], "strength": 0.2}}
    (edited,) = images(sdk.images.edit(image=file("blue"), prompt="a cat", **blue))
    red, _, strong = edited.convert("RGB").resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]
    assert strong > 2 * red  # most of the blue picture is kept


def test_a_size_of_openai_s_and_a_model_of_theirs_give_a_picture_of_that_size(
    sdk: openai.OpenAI,
) -> None:
    answer = sdk.images.generate(
        prompt="a red cat", model="gpt-image-1", size="1024x1024", extra_body={"steps": 2}
    )

    assert images(answer)[0].size == (1024, 1024)
    warnings = answer.model_dump()["warnings"]
    assert [warning.partition(":")[0] for warning in warnings] == ["model", "size"]


def test_several_files_and_a_stream_of_an_edit(sdk: openai.OpenAI) -> None:
    events = list(
        sdk.images.edit(
            image=[file(), file("blue")], prompt="a cat", stream=True, partial_images=3, **SMALL
        )
    )

    last = events[-1]
    assert last.type == "image_edit.completed"
    assert last.usage.output_tokens == 12 * 12
    assert "only the first of 2" in last.model_dump()["warnings"][0]
    assert Image.open(io.BytesIO(base64.b64decode(last.b64_json))).size == (192, 192)


def test_what_a_mask_leaves_opaque_stays_to_the_byte(sdk: openai.OpenAI) -> None:
    noise = numpy.random.default_rng(1).integers(0, 256, (192, 192, 3), numpy.uint8)
    mask = Image.new("RGBA", (192, 192), "white")
    mask.paste((0, 0, 0, 0), (0, 0, 96, 192))

    answer = sdk.images.edit(
        image=encoded(Image.fromarray(noise)), mask=encoded(mask), prompt="a red cat", **SMALL
    )

    changed = (numpy.asarray(images(answer)[0].convert("RGB")) != noise).any(-1)
    assert changed[:, :96].mean() > 0.95
    assert not changed[:, 96:].any()


def test_only_the_masked_part_of_a_photo_is_drawn_and_the_photo_keeps_its_size(
    sdk: openai.OpenAI,
) -> None:
    noise = numpy.random.default_rng(1).integers(0, 256, (350, 620, 3), numpy.uint8)
    mask = Image.new("RGBA", (620, 350), "white")
    mask.paste((0, 0, 0, 0), (400, 100, 460, 150))
    extra = {"steps": 2, "mask_area": "masked"}

    answer = sdk.images.edit(
        image=encoded(Image.fromarray(noise)),
        mask=encoded(mask),
        prompt="a red cat",
        model="tiny",
        extra_body=extra,
    )

    changed = (numpy.asarray(images(answer)[0].convert("RGB")) != noise).any(-1)
    assert changed[100:150, 400:460].mean() > 0.95
    changed[100:150, 400:460] = False
    assert not changed.any()
    assert answer.size == "620x350"


def test_an_address_can_be_fetched(sdk: openai.OpenAI, http: httpx2.Client) -> None:
    answer = sdk.images.generate(prompt="a cat", response_format="url", **SMALL)

    assert answer.data and answer.data[0].url
    assert Image.open(io.BytesIO(http.get(answer.data[0].url).content)).size == (192, 192)


def test_models_are_listed_and_retrieved(sdk: openai.OpenAI) -> None:
    listed = sdk.models.list().data

    assert listed[0].id == "tiny"
    assert all(sdk.models.retrieve(model.id) == model for model in listed)


def test_errors_are_the_sdk_s_exceptions(
    sdk: openai.OpenAI, service: str, http: httpx2.Client
) -> None:
    stranger = openai.OpenAI(
        api_key="sk-wrong", base_url=f"{service}/v1", max_retries=0, http_client=http
    )
    with pytest.raises(openai.AuthenticationError) as unknown:
        stranger.models.list()
    assert unknown.value.code == "invalid_api_key"
    with pytest.raises(openai.BadRequestError) as invalid:
        sdk.images.generate(prompt="a", n=0, size="big")
    assert invalid.value.param == "n"
    assert "size:" in invalid.value.message
    with pytest.raises(openai.NotFoundError) as missing:
        sdk.images.generate(prompt="a", model="sd15")
    assert (missing.value.param, missing.value.code) == ("model", "model_not_found")
    with pytest.raises(openai.BadRequestError, match="mask: has no transparency"):
        sdk.images.edit(image=file(), mask=file(), prompt="a")
