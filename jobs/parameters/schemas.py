"""The request's schemas: each parameter of the README with its bounds, default and meaning.

The attribute names are the README's own. The parameters of all kinds are in `jobs.parameters.job`,
those of both kinds that a model executes in `jobs.parameters.generation`. Here come those of one
kind, then those of one type; the schemas at the end combine them.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, Field

from jobs.names import GenerationKind, JobKind, JobType
from jobs.parameters.generation import GenerationRequest
from jobs.parameters.hires import HiresParameters
from jobs.parameters.job import TYPE_MEANS
from jobs.parameters.mask import MaskParameters
from jobs.parameters.types import Count, InitImage, Sampler, Steps, Strength
from jobs.parameters.upscale import OptimizedUpscale, StandardUpscale, Upscale
from jobs.pictures.inputs import INPUT_FIELDS
from jobs.pictures.picture_formats import IN_WORDS

NULL_HAS_A_MEANING = frozenset({"seed", "vae"})
"""For every other field null means that it is omitted."""


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
