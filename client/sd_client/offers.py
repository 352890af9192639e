"""What the service offers, as frozen values. What it may add to its answers is in `raw`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from sd_client.status import Json


@dataclass(frozen=True)
class Model:
    """A model that can be named.

    Attributes:
        name: what `model` of a request says.
        kind: such as sd1, sd2 or sd2-v; empty while it is not known.
        size: bytes of its weights.
        hash: as in results; empty while it is not known.
        resident: a worker holds it in memory.
        problem: why it cannot be used; else empty.
    """

    name: str
    kind: str
    size: int
    hash: str
    resident: bool
    problem: str

    @classmethod
    def read(cls, answer: Json) -> Self:
        return cls(**{name: answer[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Models:
    """The models, and what prompts may add to them."""

    models: tuple[Model, ...]
    default_model: str
    loras: tuple[str, ...]
    embeddings: tuple[str, ...]
    raw: Json = field(repr=False, compare=False)

    @classmethod
    def read(cls, answer: Json) -> Self:
        return cls(
            models=tuple(Model.read(model) for model in answer["models"]),
            default_model=answer["default_model"],
            loras=tuple(answer["loras"]),
            embeddings=tuple(answer["embeddings"]),
            raw=answer,
        )


@dataclass(frozen=True)
class Sampler:
    """A sampler, and how a request may name it."""

    key: str
    label: str
    aliases: tuple[str, ...]


@dataclass(frozen=True)
class Capabilities:
    """What the service can do now.

    Attributes:
        types: those that a worker serves.
        models: the names of the installed ones.
        default_model: what the model `default` stands for.
        samplers: all of them.
        limits: how much one request may ask for.
        defaults: what a field stands for that is left out, by type and kind.
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
