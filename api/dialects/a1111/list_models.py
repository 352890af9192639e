"""What the items of A1111's lists contain. Its names; null where this service does not know it."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, RootModel


class Checkpoint(BaseModel):
    """A model."""

    model_config = ConfigDict(protected_namespaces=())

    title: str = Field(description="its name and the start of its SHA-256: `sd15 [6ce0161689]`")
    model_name: str
    hash: str | None = Field(description="the first ten hex digits of its SHA-256")
    sha256: str | None = Field(default=None, description="always null: only its start is known")
    filename: str = Field(description="its name below the models folder, without a suffix")
    config: str | None = None


class Checkpoints(RootModel[list[Checkpoint]]):
    """The models."""


class Vae(BaseModel):
    """An autoencoder that can take the place of a model's own."""

    model_config = ConfigDict(protected_namespaces=())

    model_name: str
    filename: str


class Vaes(RootModel[list[Vae]]):
    """The autoencoders."""


class Sampler(BaseModel):
    """A sampler."""

    name: str
    aliases: list[str]
    options: dict[str, str] = Field(description="`scheduler`: the one that `automatic` means")


class Samplers(RootModel[list[Sampler]]):
    """The samplers."""


class Scheduler(BaseModel):
    """A schedule of noise levels."""

    name: str
    label: str
    aliases: list[str] | None = None
    default_rho: float = -1.0
    need_inner_model: bool = False


class Schedulers(RootModel[list[Scheduler]]):
    """The schedulers."""


class Upscaler(BaseModel):
    """A way to make a picture larger."""

    model_config = ConfigDict(protected_namespaces=())

    name: str
    model_name: str | None = None
    model_path: str | None = None
    model_url: str | None = None
    scale: float | None = None


class Upscalers(RootModel[list[Upscaler]]):
    """The upscalers."""


class LatentUpscaleMode(BaseModel):
    """A way to make latents larger."""

    name: str


class LatentUpscaleModes(RootModel[list[LatentUpscaleMode]]):
    """The upscalers of latents."""


class Lora(BaseModel):
    """A LoRA."""

    name: str
    alias: str
    path: str
    metadata: dict[str, Any] = {}


class Loras(RootModel[list[Lora]]):
    """The LoRAs."""


class Embedding(BaseModel):
    """A textual inversion. The workers announce its name only; its sizes are 0."""

    step: int | None = None
    sd_checkpoint: str | None = None
    sd_checkpoint_name: str | None = None
    shape: int = 0
    vectors: int = 0


class Embeddings(BaseModel):
    """The textual inversions by name."""

    loaded: dict[str, Embedding]
    skipped: dict[str, Embedding] = {}


class Scripts(BaseModel):
    """The names of scripts, of which there are none."""

    txt2img: list[str] = []
    img2img: list[str] = []


class NoItems(RootModel[list[dict[str, Any]]]):
    """A list that is always empty here."""


class NoFlags(BaseModel):
    """A1111's command line flags, of which there are none."""
