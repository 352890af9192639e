"""The JSON of the native dialect's answers about the service: what a request may contain."""

from typing import Any

from pydantic import BaseModel, Field, RootModel

from jobs.model_defaults import Preset
from jobs.names import JobKind, JobType


class Template(BaseModel):
    """A complete request, and where to post it."""

    name: str
    kind: JobKind
    type: JobType
    href: str = Field(description="its address")
    post_to: str


class Templates(BaseModel):
    """The templates: one for each kind and type."""

    templates: list[Template]


class RequestBody(RootModel[dict[str, Any]]):
    """The JSON of a request, ready to be posted."""


class SamplerChoice(BaseModel):
    """A sampler or a scheduler, and the names that a request may use for it."""

    key: str
    label: str
    aliases: list[str]


class RequestLimits(BaseModel):
    """Caps on one request."""

    max_side: int = Field(description="pixels of H and W")
    max_side_768: int = Field(description="the same for a model whose native_size is 768")
    max_side_1024: int = Field(description="the same for a model whose native_size is 1024")
    max_images: int = Field(description="n_iter · n_samples")
    max_work: int = Field(
        description="n_iter · n_samples · H · W · ddim_steps · the cost of the model"
    )
    max_init_pixels: int = Field(description="width · height of an init image")
    max_output_pixels: int = Field(description="n_iter · n_samples · output_width · output_height")
    max_hires_pixels: int = Field(description="width · height of a second pass")


class InstalledModel(BaseModel):
    """A model that a request may name."""

    name: str = Field(description="the request's ckpt")
    kind: str = Field(description="such as sd1, sd2 or sd2-v; empty while unknown")
    native_size: int = Field(description="pixels a side at which it was trained and works best")
    size: int = Field(description="bytes of its weight files")
    hash: str = Field(description="as in results; empty while unknown")
    resident: bool = Field(description="a worker holds it in memory")
    problem: str = Field(description="why it cannot be used; else empty")
    defaults: dict[str, Any] = Field(
        description="what it wants for fields that a request leaves out, by their names; `loras` "
        "are added to the prompt"
    )
    presets: dict[Preset, dict[str, Any]] = Field(description="the same with each `preset`")
    defaults_problem: str = Field(description="why its own file of defaults is not used; or empty")


class Models(BaseModel):
    """The models, and what prompts may add to them."""

    models: list[InstalledModel]
    default_model: str = Field(description="the model of the ckpt `default")
    loras: list[str] = Field(description="`<lora:name:0.8>` in a prompt")
    lora_defaults: dict[str, dict[str, Any]] = Field(
        description="by LoRA: what models want with it for fields that a request leaves out"
    )
    lora_problems: dict[str, str] = Field(
        description="by LoRA: why its own file of defaults is not used"
    )
    embeddings: list[str] = Field(description="by name in a prompt")
    vaes: list[str] = Field(description="autoencoders for the request's `vae`")


class WebhookSecret(BaseModel):
    """What verifies the webhook messages about the jobs of one API key."""

    secrets: list[str] = Field(
        description="by Standard Webhooks; during a rotation several, the newest first"
    )


class ModelChoices(BaseModel):
    """What a model wants for fields that a body leaves out."""

    defaults: dict[str, Any]
    presets: dict[Preset, dict[str, Any]] = Field(description="with each `preset` of a request")


class Capabilities(BaseModel):
    """What a request may contain now."""

    types: list[JobType] = Field(description="job types that a worker serves")
    models: list[str] = Field(description="models installed on a worker")
    native_sizes: dict[str, int] = Field(
        description="by model: pixels a side at which it was trained and works best"
    )
    max_sides: dict[str, int] = Field(
        description="by model: the largest H and W of a request, in pixels"
    )
    default_model: str = Field(description="the model of the ckpt `default")
    loras: list[str] = Field(description="installed on a worker: `<lora:name:0.8>` in a prompt")
    embeddings: list[str] = Field(description="installed on a worker: by name in a prompt")
    vaes: list[str] = Field(description="installed on a worker: autoencoders for `vae`")
    wildcards: list[str] = Field(description="`__name__` in a prompt, with `wildcards`")
    samplers: list[SamplerChoice]
    schedulers: list[SamplerChoice]
    precisions: list[str]
    formats: list[str]
    init_image_types: list[str] = Field(description="media types that init_img may have")
    configs: list[str]
    upscalers: list[str] = Field(description="for `upscaler` of /upscale")
    limits: RequestLimits
    defaults: dict[JobType, dict[JobKind, dict[str, Any]]] = Field(
        description="the values of fields that a body leaves out, by type and kind"
    )
    picture_fields: dict[JobKind, list[str]] = Field(
        description="by kind: the fields that change the picture, besides the pictures sent"
    )
    model_defaults: dict[str, ModelChoices] = Field(
        description="by model: what precedes those defaults; models without any are left out"
    )
