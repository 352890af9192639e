"""The request's schemas: each parameter of the README with its bounds, default and meaning.

The attribute names are the README's own. The parameters of all kinds are in `jobs.job_parameters`.
Here come those of both kinds that a model executes, then those of one kind, then those of one type;
the schemas at the end combine them.
"""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from jobs.cache_parameters import CacheParameters
from jobs.comparison_parameters import ComparisonParameters, with_values
from jobs.hires_parameters import HiresParameters
from jobs.inputs import INPUT_FIELDS
from jobs.job_parameters import TYPE_MEANS, JobRequest
from jobs.mask_parameters import MaskParameters
from jobs.names import GenerationKind, JobKind, JobType
from jobs.output_parameters import OutputSize
from jobs.parameter_types import (
    WHOLE,
    Batch,
    Checkpoint,
    Config,
    Count,
    CountOrZero,
    InitImage,
    Precision,
    PromptFile,
    Sampler,
    Scale,
    Seed,
    Side,
    Steps,
    Strength,
    Text,
    Vae,
)
from jobs.picture_formats import IN_WORDS
from jobs.preset_parameter import PresetParameter
from jobs.prompt_parameters import PromptParameters
from jobs.refiner_parameters import RefinerParameters
from jobs.sampling_parameters import SamplingParameters
from jobs.upscale_parameters import OptimizedUpscale, StandardUpscale, Upscale

PROMPT_NAMED: dict[str, JsonValue] = {
    "required": ["prompt"],
    "properties": {"prompt": {"type": "string"}},
}
PROMPT_FILE_NAMED: dict[str, JsonValue] = {
    "required": ["from-file"],
    "properties": {"from-file": {"type": "string", "minLength": 1}},
}
PROMPTS_VARIED: dict[str, JsonValue] = {
    "required": ["vary"],
    "properties": {"vary": {"type": "object", "required": ["prompt"]}},
}
"""A request needs one of these, as JSON schema; `jobs.rules` checks it."""
NULL_HAS_A_MEANING = frozenset({"seed", "vae"})
"""For every other field null means that it is omitted."""


def _completed(schema: dict[str, JsonValue]) -> None:
    schema["anyOf"] = [PROMPT_NAMED, PROMPT_FILE_NAMED, PROMPTS_VARIED]
    with_values(schema)


class GenerationRequest(
    PromptParameters,
    SamplingParameters,
    CacheParameters,
    RefinerParameters,
    PresetParameter,
    ComparisonParameters,
    OutputSize,
    JobRequest,
    frozen=True,
):
    """The parameters of the kinds that a model executes, of both types."""

    model_config = ConfigDict(json_schema_extra=_completed)
    kind: ClassVar[GenerationKind]

    prompt: Annotated[
        Text, Field(description="what to generate: (emphasis), [less], cat:0.3 dog:0.7")
    ] = ""
    negative_prompt: Annotated[Text, Field(description="what to avoid in the picture")] = ""
    skip_grid: Annotated[bool, Field(description="false: also a grid of all pictures")] = True
    ddim_steps: Annotated[Steps, Field(description="sampling steps a picture")] = 50
    fixed_code: Annotated[bool, Field(description="start every picture from the same noise")] = (
        False
    )
    ddim_eta: Annotated[float, Field(ge=0, le=1, description="DDIM's eta; 0 is deterministic")] = (
        0.0
    )
    n_iter: Annotated[Count, Field(description="batches, one after the other")] = 1
    H: Annotated[Side, Field(description="height in pixels")] = 512
    W: Annotated[Side, Field(description="width in pixels")] = 512
    C: Annotated[Literal[4], WHOLE, Field(description="latent channels; every model has 4")] = 4
    f: Annotated[Literal[8], WHOLE, Field(description="downsampling factor; every model has 8")] = 8
    n_samples: Annotated[Count, Field(description="pictures in one batch")] = 1
    n_rows: Annotated[CountOrZero, Field(description="rows of the grid; 0: n_samples")] = 0
    scale: Annotated[Scale, Field(description="classifier-free guidance scale")] = 7.5
    from_file: Annotated[
        PromptFile, Field(alias="from-file", description="take prompts from a file; or false")
    ] = None
    config: Annotated[Config, Field(description="configuration; must fit the model")] = None
    ckpt: Annotated[
        Checkpoint, Field(description="model: a name, `default`, or an object of names")
    ] = "default"
    vae: Annotated[
        Vae | None,
        Field(
            description="another autoencoder, by its name; null: the one that the model has, also "
            "where its defaults name another"
        ),
    ] = None
    seed: Annotated[
        Seed, Field(description="seed of the first picture; null, false or -1: a random one")
    ] = 42
    unet_bs: Annotated[
        Batch,
        Field(
            description="latents in one evaluation of the network; guidance makes two of each "
            "picture, which a small model evaluates together"
        ),
    ] = 1
    turbo: Annotated[bool, Field(description="type optimized: faster, with more memory")] = True
    sampler: Annotated[Sampler, Field(description="sampler key or label")] = "ddim"
    precision: Annotated[Precision, Field(description="full, or mixed where it is faster")] = (
        "autocast"
    )
    deterministic: Annotated[
        bool,
        Field(description="the same to the bit each time: shares no evaluation with other jobs"),
    ] = False

    def stored(self) -> dict[str, Any]:
        return super().stored() | self.stored_differing

    @property
    def image_count(self) -> int:
        return self.n_iter * self.n_samples

    @property
    def sampled_size(self) -> tuple[int, int]:
        """Width and height in pixels of what is sampled, in the first pass if there are two."""
        return self.W, self.H

    @property
    def generated_size(self) -> tuple[int, int]:
        """Width and height in pixels of what the last pass samples."""
        return self.sampled_size

    def result_size(
        self,
        init: tuple[int, int] | None,  # noqa: ARG002 - img2img needs it
    ) -> tuple[int, int]:
        """Width and height of the pictures, before they are brought to another size.

        Args:
            init: those of the init image, if the request has one.
        """
        return self.generated_size

    def settled(
        self,
        *,
        model: str,
        seed: int,
        variation_seed: int | None = None,
        refiner: str = "",
        compared: Sequence[str] = (),
    ) -> Self:
        """The same request with the models that were chosen and the seeds that were picked.

        Args:
            compared: the models of `vary`, in place of what it says of them.
        """
        update: dict[str, Any] = {"ckpt": model, "seed": seed, **self.with_refiner(refiner)}
        if compared:
            update["vary"] = {**(self.vary or {}), "ckpt": [*compared]}
        if variation_seed is not None:
            update["variation_seed"] = variation_seed
        return self.model_copy(update=update)


class TextToImage(HiresParameters, GenerationRequest, frozen=True):
    """POST /generate. Omitted fields take the value of the README's first example."""

    kind: ClassVar[GenerationKind] = "txt2img"

    ddim_steps: Annotated[Steps, Field(description="sampling steps a picture")] = 20

    @property
    def generated_size(self) -> tuple[int, int]:
        return self.hires_size_from(self.W, self.H) or self.sampled_size


class ImageToImage(MaskParameters, GenerationRequest, frozen=True):
    """POST /img2img. Omitted fields take the value of the README's second example.

    `init_img` is base64 in a body; here it is the decoded picture as an RGB PNG, with
    `mask_from_alpha` an RGBA PNG, or empty if the request was read back from a record (the picture
    is in the store).
    """

    kind: ClassVar[GenerationKind] = "img2img"

    init_img: Annotated[InitImage, Field(repr=False, description=f"base64 of a {IN_WORDS} picture")]
    denoising_strength: Annotated[
        Strength, Field(description="how much of the picture is generated anew")
    ] = 0.5
    noise_multiplier: Annotated[
        float, Field(ge=0, le=10, description="scales the noise added to the picture")
    ] = 1.0
    upscale: Annotated[
        bool, Field(description="make the picture twice as large before it is used")
    ] = False
    post_upscale: Annotated[bool, Field(description="make the result twice as large")] = False
    n_iter: Annotated[Count, Field(description="batches, one after the other")] = 2
    sampler: Annotated[Sampler, Field(description="sampler key or label")] = "plms"

    @property
    def sampled_size(self) -> tuple[int, int]:
        return (self.W, self.H) if self.only_masked else self.extended(self.W, self.H)

    def result_size(self, init: tuple[int, int] | None) -> tuple[int, int]:
        return self.extended(*init) if self.only_masked and init else self.sampled_size


class Standard(BaseModel, frozen=True):
    """The type that keeps the whole model on its device."""

    type: Annotated[Literal["standard"], Field(description=TYPE_MEANS)]
    plms: Annotated[bool, Field(description="the plms sampler instead of ddim")] = False
    laion400m: Annotated[bool, Field(description="kept for old clients, without effect")] = False


class Optimized(BaseModel, frozen=True):
    """The type that needs little memory, and the default."""

    type: Annotated[Literal["optimized"], Field(description=TYPE_MEANS)] = "optimized"


class StandardTextToImage(Standard, TextToImage, frozen=True):
    """POST /generate, type standard."""


class OptimizedTextToImage(Optimized, TextToImage, frozen=True):
    """POST /generate, type optimized."""


class StandardImageToImage(Standard, ImageToImage, frozen=True):
    """POST /img2img, type standard."""


class OptimizedImageToImage(Optimized, ImageToImage, frozen=True):
    """POST /img2img, type optimized."""


Request = TextToImage | ImageToImage
"""A request that a model executes."""
AnyRequest = Request | Upscale
SCHEMAS: dict[JobKind, dict[JobType, type[AnyRequest]]] = {
    "txt2img": {"standard": StandardTextToImage, "optimized": OptimizedTextToImage},
    "img2img": {"standard": StandardImageToImage, "optimized": OptimizedImageToImage},
    "upscale": {"standard": StandardUpscale, "optimized": OptimizedUpscale},
}


def fields_of(schema: type[AnyRequest]) -> dict[str, str]:
    """The names of a schema's fields in a body, each with the name of its attribute."""
    return {info.alias or name: name for name, info in schema.model_fields.items()}


def without_inputs(schema: type[AnyRequest]) -> dict[str, bytes]:
    """Empty bytes for each input that a schema requires: its pictures are elsewhere, or wrong."""
    required = {name for name, info in schema.model_fields.items() if info.is_required()}
    return dict.fromkeys(INPUT_FIELDS & required, b"")
