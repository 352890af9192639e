"""Models and capabilities of the service, as frozen values. `raw` is the whole answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from sd_client.status import Json


@dataclass(frozen=True)
class Model:
    """An installed model.

    Attributes:
        name: the value for the parameter `model`.
        kind: such as sd1, sd2 or sd2-v; empty while unknown.
        size: bytes of its weights.
        hash: as in the metadata of results; empty while unknown.
        resident: a worker holds it in memory.
        problem: why the model is unusable; otherwise empty.
        native_size: side of the pictures that it was trained on, in pixels; None while unknown, and
            from older services.
        defaults: what it wants for parameters that a request leaves out.
        presets: the same with each value of `preset`.
        defaults_problem: why its own file of defaults is not used; otherwise empty.
    """

    name: str
    kind: str
    size: int
    hash: str
    resident: bool
    problem: str
    native_size: int | None = None
    defaults: Json = field(default_factory=dict)
    presets: Mapping[str, Json] = field(default_factory=dict)
    defaults_problem: str = ""

    @classmethod
    def read(cls, answer: Json) -> Self:
        known = cls.__dataclass_fields__
        return cls(**{name: value for name, value in answer.items() if name in known})


@dataclass(frozen=True)
class Models:
    """The installed models, LoRAs, embeddings and VAEs.

    Attributes:
        lora_defaults: by LoRA, what models want with it for parameters that are left out.
        lora_problems: by LoRA, why its own file of defaults is not used.
        raw: the whole answer.
    """

    models: tuple[Model, ...]
    default_model: str
    loras: tuple[str, ...]
    embeddings: tuple[str, ...]
    raw: Json = field(repr=False, compare=False)
    vaes: tuple[str, ...] = ()
    lora_defaults: Mapping[str, Json] = field(default_factory=dict)
    lora_problems: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, answer: Json) -> Self:
        return cls(
            models=tuple(Model.read(model) for model in answer["models"]),
            default_model=answer["default_model"],
            loras=tuple(answer["loras"]),
            embeddings=tuple(answer["embeddings"]),
            # older services do not list these
            vaes=tuple(answer.get("vaes", ())),
            lora_defaults=answer.get("lora_defaults", {}),
            lora_problems=answer.get("lora_problems", {}),
            raw=answer,
        )


@dataclass(frozen=True)
class Sampler:
    """A sampler: its key, its label, and other accepted names."""

    key: str
    label: str
    aliases: tuple[str, ...]


@dataclass(frozen=True)
class Capabilities:
    """What the service supports now.

    Attributes:
        types: job types that a worker serves.
        models: names of the installed models.
        default_model: name of the model that `default` means.
        samplers: all samplers.
        limits: limits of one request.
        defaults: defaults of the parameters, by job type and by txt2img or img2img.
        raw: the whole answer.
    """

    types: tuple[str, ...]
    models: tuple[str, ...]
    default_model: str
    samplers: tuple[Sampler, ...]
    limits: Mapping[str, int]
    defaults: Mapping[str, Mapping[str, Json]]
    raw: Json = field(repr=False, compare=False)

    @classmethod
    def read(cls, answer: Json) -> Self:
        return cls(
            types=tuple(answer["types"]),
            models=tuple(answer["models"]),
            default_model=answer["default_model"],
            samplers=tuple(
                Sampler(sampler["key"], sampler["label"], tuple(sampler["aliases"]))
                for sampler in answer["samplers"]
            ),
            limits=answer["limits"],
            defaults=answer["defaults"],
            raw=answer,
        )
