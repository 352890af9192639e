"""The JSON of this dialect's answers. Keys besides OpenAI's: id, seeds, warnings."""

from typing import Literal

from pydantic import BaseModel, Field


class GeneratedImage(BaseModel):
    """One image, as base64 or as an address."""

    b64_json: str | None = None
    url: str | None = Field(default=None, description="needs no key; as long as the job is kept")


class TokenDetails(BaseModel):
    """Tokens by what they are made of."""

    image_tokens: int
    text_tokens: int


class Usage(BaseModel):
    """A measure of the work; nobody is charged.

    A text token is a word or a punctuation mark of the prompts, an image token 16 × 16 pixels.
    """

    input_tokens: int
    input_tokens_details: TokenDetails
    output_tokens: int
    output_tokens_details: TokenDetails
    total_tokens: int


class GeneratedImages(BaseModel):
    """The images of a finished job."""

    created: int = Field(description="seconds since the epoch")
    data: list[GeneratedImage]
    usage: Usage
    size: str
    quality: str | None = Field(default=None, description="absent if `steps` was sent")
    output_format: str
    background: Literal["opaque"] = "opaque"
    safety_identifier: str | None = None
    id: str = Field(description="of the job: `GET /status/<id>` has all about it")
    seeds: list[int] = Field(description="the seed of each image")
    warnings: list[str] = Field(description="parts of the request that could not be followed")


class PartialImage(BaseModel):
    """The data of an event: a preview, enlarged to the size of the image."""

    type: Literal["image_generation.partial_image", "image_edit.partial_image"]
    b64_json: str
    partial_image_index: int
    created_at: int
    size: str
    quality: str
    background: Literal["opaque"] = "opaque"
    output_format: str


class CompletedImage(BaseModel):
    """The data of an event: one of the images."""

    type: Literal["image_generation.completed", "image_edit.completed"]
    b64_json: str
    created_at: int
    size: str
    quality: str
    background: Literal["opaque"] = "opaque"
    output_format: str
    usage: Usage
    safety_identifier: str | None = None
    id: str
    seeds: list[int]
    warnings: list[str]


class Model(BaseModel):
    """An installed model."""

    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="the same for all models, which have no date")
    owned_by: str


class ModelList(BaseModel):
    """The installed models, the default model first."""

    object: Literal["list"] = "list"
    data: list[Model]
