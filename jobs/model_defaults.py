"""What a model or a LoRA wants for what a request leaves out, as workers announce it."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

Preset = Literal["fast", "quality"]


class Defaults(BaseModel):
    """Values for fields that a request leaves out; None: no opinion.

    They are not checked here: another version may have announced them, and the worker that read
    them has checked them. `jobs.validation.settled_defaults` leaves out what this version does
    not know.

    Attributes:
        steps, scale, sampler, scheduler, vae: of `ddim_steps` and the fields of the same names.
        width, height: in pixels, of `W` and `H`.
        loras: LoRAs that the prompt gets, each a name or `name:weight`.
        max_steps, max_scale: above it the pictures are bad.
        samplers: with others the pictures are bad; None: any will do.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    steps: int | None = None
    scale: float | None = None
    sampler: str | None = None
    scheduler: str | None = None
    vae: str | None = None
    width: int | None = None
    height: int | None = None
    loras: tuple[str, ...] | None = None
    max_steps: int | None = None
    max_scale: float | None = None
    samplers: tuple[str, ...] | None = None

    @model_serializer(mode="wrap")
    def _compact(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Announcements are written every few seconds: only what is said is in them."""
        return {name: value for name, value in handler(self).items() if value is not None}

    def over(self, other: "Defaults") -> "Defaults":
        """These values, and those of `other` where these have none."""
        names = Defaults.model_fields
        own, others = ({name: getattr(each, name) for name in names} for each in (self, other))
        return Defaults(
            **{name: others[name] if own[name] is None else own[name] for name in names}
        )


class ModelDefaults(Defaults):
    """The same of a model, with its presets, whose values precede its own."""

    presets: Mapping[Preset, Defaults] | None = None


class LoraFacts(BaseModel):
    """A LoRA of which more is known than its name.

    Attributes:
        aliases: its other names in prompts.
        defaults: what a model needs with it.
        problem: why the file with its defaults was not used; empty: nothing is wrong.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    aliases: tuple[str, ...] = ()
    defaults: Defaults = Defaults()
    problem: str = ""
