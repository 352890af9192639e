"""Which installed model a request means."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from jobs.errors import Fault, InvalidRequest
from jobs.limits import NATIVE_SIZE
from jobs.names import DEFAULT_MODEL, model_named
from jobs.validation_faults import safe_value


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
    """

    default: str = DEFAULT_MODEL
    names: Collection[str] = ()
    native_sizes: Mapping[str, int] = field(default_factory=dict[str, int])

    def choose(self, ckpt: str | dict[str, str]) -> ModelChoice:
        """Resolve `ckpt` in each of its documented forms to an installed model.

        Args:
            ckpt: a spelling of a name, `default`, or the template's object: names with the files
                that are expected to hold them. The first installed one is chosen, else the default.

        Raises:
            InvalidRequest: code unknown_model, listing the installed ones.
        """
        if isinstance(ckpt, str):
            name = self._installed_name(ckpt)
            return ModelChoice(name) if name else self._refuse(ckpt)
        if any("/" in text or "\\" in text for entry in ckpt.items() for text in entry):
            self._refuse(ckpt)
        for name, file in ckpt.items():
            for spelling in (name, file):
                if model_named(spelling) in self.names:
                    return ModelChoice(model_named(spelling))
        wanted = ", ".join(ckpt)
        return ModelChoice(
            self.default,
            (f"ckpt: none of {wanted} is installed; the default model {self.default} was used",),
        )

    def native_size(self, ckpt: str | dict[str, str]) -> int:
        """The native size of the model that `ckpt` means; NATIVE_SIZE if it is not known."""
        try:
            return self.native_sizes.get(self.choose(ckpt).name, NATIVE_SIZE)
        except InvalidRequest:
            return NATIVE_SIZE

    def _installed_name(self, spelling: str) -> str | None:
        name = model_named(spelling)
        if name == DEFAULT_MODEL:
            return self.default
        if name in self.names:
            return name
        is_path = "/" in name or "\\" in name or name.startswith(".")
        return name if not self.names and not is_path else None

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
