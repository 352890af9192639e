"""Which installed model a request means."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from pydantic import TypeAdapter, ValidationError

from jobs.errors import Fault, InvalidRequest
from jobs.limits import NATIVE_SIZE
from jobs.names import DEFAULT_MODEL, find_name, model_named, plain_name
from jobs.parameters.types import Checkpoint
from jobs.validation.validation_faults import safe_value
from stable_diffusion.unet_kind import UNetKind

if TYPE_CHECKING:
    from jobs.served import Served

_WITH_HASH = re.compile(r"(.*\S)\s*\[([0-9a-fA-F]{6,64})\]\s*", re.DOTALL)
"""How AUTOMATIC1111 writes a model: `sd15 [6ce0161689]`, the first digits of its SHA-256."""
_CHECKPOINT = TypeAdapter[str | dict[str, str]](Checkpoint)
_OLD_HASH_DIGITS = 8
"""Digits of the hash that its versions before 2023 wrote, which is not of the whole file."""


@dataclass(frozen=True)
class ModelChoice:
    """The model that a job will use, and what to tell the client about the choice."""

    name: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class InstalledModels:
    """The models that workers serve.

    Attributes:
        default: the name of the model that `default` means.
        names: those of the installed models. Empty when no worker has announced any; then any name
            that is no path is accepted, and the worker decides.
        native_sizes: for a name, the side in pixels of the pictures that the model was trained on.
        costs: for a name, the work of a pixel and a step, that of Stable Diffusion 1 being 1.
        hashes: for a name, the first digits of the model's SHA-256; empty while it is not known.
        unets: for a name, what its UNet samples; it is missing while that is not known.
        problems: for a name, why the model cannot be used, if that is known.
    """

    default: str = DEFAULT_MODEL
    names: Collection[str] = ()
    native_sizes: Mapping[str, int] = field(default_factory=dict[str, int])
    costs: Mapping[str, float] = field(default_factory=dict[str, float])
    hashes: Mapping[str, str] = field(default_factory=dict[str, str])
    unets: Mapping[str, UNetKind] = field(default_factory=dict[str, UNetKind])
    problems: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def of(cls, served: "Served", default: str) -> "InstalledModels":
        """Those that workers announced, with the service's default model."""
        return cls(
            default=default,
            names=served.models,
            native_sizes=served.native_sizes,
            costs=served.costs,
            hashes=served.hashes,
            unets=served.unets,
            problems=served.problems,
        )

    def choose(self, ckpt: str | dict[str, str]) -> ModelChoice:
        """Resolve `ckpt` in each of its documented forms to an installed model.

        Args:
            ckpt: a spelling of a name, `default`, or the template's object: names with the files
                that are expected to hold them. The first installed one is chosen, else the default.

        Raises:
            InvalidRequest: code unknown_model, listing the installed ones, or wrong_model_hash.
        """
        if isinstance(ckpt, str):
            name = self._installed_name(ckpt)
            return ModelChoice(name) if name else self._choose_with_hash(ckpt)
        texts = [text for entry in ckpt.items() for text in entry]
        found = [find_name(text, self.names) for text in texts]
        if any(_is_path(text) and not name for text, name in zip(texts, found, strict=True)):
            self._refuse(ckpt)
        if name := next(filter(None, found), None):
            return ModelChoice(name)
        wanted = ", ".join(ckpt)
        return ModelChoice(
            self.default,
            (f"ckpt: none of {wanted} is installed; the default model {self.default} was used",),
        )

    def name_of(self, ckpt: object) -> str:
        """The name of the model that the `ckpt` of a body means; empty: of none, or not valid.

        Args:
            ckpt: None means `default`.
        """
        try:
            return self.choose(
                _CHECKPOINT.validate_python("default" if ckpt is None else ckpt)
            ).name
        except (InvalidRequest, ValidationError):
            return ""

    def native_size(self, ckpt: str | dict[str, str]) -> int:
        """The native size of the model that `ckpt` means; NATIVE_SIZE if it is not known."""
        return self.native_sizes.get(self.name_of(ckpt), NATIVE_SIZE)

    def cost(self, ckpt: str | dict[str, str]) -> float:
        """The cost of the model that `ckpt` means; 1 if it is not known."""
        try:
            return self.costs.get(self.choose(ckpt).name, 1.0)
        except InvalidRequest:
            return 1.0

    def _installed_name(self, spelling: str) -> str | None:
        name = model_named(spelling)
        if name == DEFAULT_MODEL and plain_name(spelling) not in self.names:
            return self.default
        if found := find_name(spelling, self.names):
            return found
        return name if not self.names and not _is_path(name) else None

    def _choose_with_hash(self, ckpt: str) -> ModelChoice:
        """The model of a spelling such as `sd15 [6ce0161689]`. Raises InvalidRequest."""
        written = _WITH_HASH.fullmatch(ckpt)
        name = written and self._installed_name(written[1])
        if not written or not name:
            self._refuse(ckpt)
        said, known = written[2].lower(), self.hashes.get(name, "")
        digits = min(len(said), len(known))
        if said[:digits] == known[:digits] and known:
            return ModelChoice(name)
        if known and len(said) != _OLD_HASH_DIGITS:
            raise InvalidRequest(
                (
                    Fault(
                        field="ckpt",
                        code="wrong_model_hash",
                        value=safe_value("ckpt", ckpt),
                        problem=f"names another model than the installed {name}",
                        expected=f"{name} [{known}], or {name} without a hash",
                    ),
                )
            )
        why = "is one of 8 digits, which older tools wrote" if known else "is not known here yet"
        return ModelChoice(name, (f"ckpt: the hash of {name} was not compared: it {why}",))

    def _refuse(self, ckpt: str | dict[str, str]) -> NoReturn:
        raise InvalidRequest(
            (
                Fault(
                    field="ckpt",
                    code="unknown_model",
                    value=safe_value("ckpt", ckpt),
                    problem="is no installed model",
                    expected="one of: " + ", ".join([DEFAULT_MODEL, *sorted(self.names)]),
                ),
            )
        )


def _is_path(text: str) -> bool:
    return "/" in text or "\\" in text or text.startswith(".")
