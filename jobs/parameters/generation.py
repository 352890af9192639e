"""The parameters of the kinds that a model executes, of both types."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, JsonValue

from jobs.names import GenerationKind
from jobs.parameters.cache import CacheParameters
from jobs.parameters.comparison import ComparisonParameters, with_values
from jobs.parameters.job import JobRequest
from jobs.parameters.output import OutputSize
from jobs.parameters.preset import PresetParameter
from jobs.parameters.prompt import PromptParameters
from jobs.parameters.refiner import RefinerParameters, named_refiner
from jobs.parameters.sampling import SamplingParameters
from jobs.parameters.types import (
    WHOLE,
    Batch,
    Checkpoint,
    Config,
    Count,
    CountOrZero,
    Precision,
    PromptFile,
    Sampler,
    Scale,
    Seed,
    Side,
    Steps,
    Text,
    Vae,
)

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
"""A request needs one of these, as JSON schema; `jobs.validation.rules` checks it."""


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
        refiners: Mapping[str, str] | None = None,
        compared: Sequence[str] = (),
    ) -> Self:
        """The same request with the models that were chosen and the seeds that were picked.

        Args:
            refiners: the names of the refiners, by what it says of them.
            compared: the models of `vary`, in place of what it says of them.
        """
        names, vary = refiners or {}, dict[str, list[Any]](self.vary or {})
        if compared:
            vary["ckpt"] = [*compared]
        if "refiner" in vary:
            vary["refiner"] = [named_refiner(each, names) for each in vary["refiner"]]
        update: dict[str, Any] = {"ckpt": model, "seed": seed, "vary": vary or None}
        update["refiner"] = named_refiner(self.refiner, names)
        if variation_seed is not None:
            update["variation_seed"] = variation_seed
        return self.model_copy(update=update)
