"""One setting of an infotext: what a field of a request is called there, and how it is written."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from jobs.validation.request import Request


@dataclasses.dataclass(frozen=True)
class Setting:
    """A label, and the field of a native request behind it.

    A field is written if it differs from its default, and read as the JSON value of its text.

    Attributes:
        label: in AUTOMATIC1111's spelling.
        field: empty: what is written is no field of a request, or needs to be read with others.
        second: the field of the height, if `field` is the width of a size such as `512x768`.
        keys: those of the field, which is an object; each is written under the label and the key.
        always: written with its default, too.
        own: nothing of this name is read from other programs, which mean something else by it.
        choices: value of the field → its text.
        when: whether the field has an effect on a request's picture; if not, it is left out.
        write: a request → what is written; None: left out.
        read: the text and all settings → the value of the field; None: left out.
    """

    label: str
    field: str = ""
    second: str = ""
    _: dataclasses.KW_ONLY
    keys: tuple[str, ...] = ()
    always: bool = False
    own: bool = False
    choices: Mapping[Any, str] = dataclasses.field(default_factory=dict[Any, str])
    when: Callable[[Any], Any] | None = None
    write: Callable[[Any], object] | None = None
    read: Callable[[str, Mapping[str, str]], Any] | None = None

    @property
    def labels(self) -> dict[str, str]:
        """Label → field; of a size those of both sides, such as `Size-1` and `Size-2`."""
        if self.second:
            return {f"{self.label}-1": self.field, f"{self.label}-2": self.second}
        return {f"{self.label} {key}".strip(): self.field for key in self.keys or ("",)}

    def written(self, request: Request, made: Mapping[str, str]) -> dict[str, object]:
        """Label → what is written into a picture of a request; empty: it is left out.

        Args:
            made: label → text of what the request does not say, such as the name of the model.
        """
        info = type(request).model_fields.get(self.field)
        if (self.field and not info) or (self.when and not self.when(request)):
            return {}
        value = getattr(request, self.field, None)
        if self.write:
            value = self.write(request)
        elif info and value == info.default and not self.always:
            return {}
        elif self.second:
            value = f"{value}x{getattr(request, self.second)}"
        elif self.keys:
            return {f"{self.label} {key}": each for key, each in (value or {}).items() if each}
        else:
            value = self.choices.get(value, made.get(self.label, value))
        return {} if value in (None, "") else {self.label: value}

    def value(self, label: str, text: str, settings: Mapping[str, str]) -> Any:
        """What a text under one of the labels means for its field; None: nothing.

        Args:
            settings: all of the infotext.

        Returns:
            A value that may be wrong; of an object the part with the label's key.
        """
        if self.read:
            return self.read(text, settings)
        if self.keys:
            return {label.removeprefix(f"{self.label} "): json_of(text)}
        return next((value for value, name in self.choices.items() if name == text), json_of(text))


def json_of(text: str) -> Any:
    """A text as JSON has it: a number, a truth value, or text."""
    if text in ("True", "False"):
        return text == "True"
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text
