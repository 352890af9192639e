"""A recipe while it is read: native fields, how each was written, and what could not be read."""

from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import ValidationError

from jobs.names import GenerationKind, sampler_named, scheduler_named
from jobs.parameters.output import OUTPUT_FIELDS
from jobs.parameters.schemas import SCHEMAS, fields_of, without_inputs
from jobs.validation.validation_faults import faults_of

Source = Literal["service", "automatic1111", "invokeai", "comfyui", "unknown"]
MAX_SHOWN = 200
"""Characters of a value that was not read."""
NO_SUCH_PARAMETER = "the service has no such parameter"


@dataclass(frozen=True)
class NotRead:
    """Something of a recipe that no native field says: its name and value there, and why."""

    name: str
    value: str
    why: str


@dataclass(frozen=True)
class Recipe:
    """What a picture was made of, as a native request.

    Attributes:
        source: the program that wrote it.
        text: the infotext; empty if there is none.
        request: native fields; each is valid by itself.
        not_read: what is missing in it.
    """

    source: Source
    text: str
    kind: GenerationKind
    request: dict[str, Any]
    not_read: tuple[NotRead, ...]


@dataclass
class Draft:
    """A recipe that a reader fills.

    Attributes:
        body: native fields, not checked yet.
        written: native field → the name and the value in the picture.
    """

    source: Source
    kind: GenerationKind = "txt2img"
    body: dict[str, Any] = field(default_factory=dict[str, Any])
    written: dict[str, tuple[str, object]] = field(default_factory=dict[str, tuple[str, object]])
    not_read: list[NotRead] = field(default_factory=list[NotRead])

    def put(self, native: str, value: Any, name: str, written: object = None) -> None:
        """Set a native field; `name` and `written` are what the picture has for it."""
        self.body[native] = value
        self.written[native] = (name, value if written is None else written)

    def skip(self, name: str, value: object, why: str) -> None:
        """Note what was not read."""
        text = str(value)
        shown = text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…"
        self.not_read.append(NotRead(name[:MAX_SHOWN], shown, why))

    def put_sampling(self, sampler: str, scheduler: str, names: tuple[str, str]) -> None:
        """Set the sampler and the scheduler.

        Args:
            sampler: a key or label.
            scheduler: a key or label; empty or `automatic`: the sampler's own.
            names: of both in the picture.
        """
        row, schedule = sampler_named(sampler), scheduler_named(scheduler or "automatic")
        if row is None:
            self.skip(names[0], sampler, "the service has no such sampler")
        else:
            self.put("sampler", row.key, names[0], sampler)
        if schedule is None:
            self.skip(names[1], scheduler, "the service has no such scheduler")
        elif schedule.key != "automatic" and row and "scheduler" not in row.takes:
            self.skip(names[1], scheduler, f"{row.label} has noise levels of its own")
        elif schedule.key != "automatic":
            self.put("scheduler", schedule.key, names[1], scheduler)

    def finished(self, text: str = "") -> Recipe:
        """The recipe, whose fields follow the schema; those that do not are not read."""
        schema = SCHEMAS[self.kind]["optimized"]
        known = fields_of(schema)
        for name in [name for name in self.body if name not in known]:
            self._drop(name, NO_SUCH_PARAMETER)
        try:
            schema.model_validate(self.body | without_inputs(schema))
        except ValidationError as error:
            for fault in faults_of(error, schema, self.body):
                self._drop(fault.field, f"{fault.problem}; expected {fault.expected}")
        if missing := [name for name in OUTPUT_FIELDS if name not in self.body]:
            for name in set(OUTPUT_FIELDS) & self.body.keys():
                self._drop(name, f"there is no valid {missing[0]}")
        if self.kind == "img2img":
            self.body["n_iter"] = 1
            self.skip("init_img", "", "a picture does not hold the picture that it was made from")
        return Recipe(self.source, text, self.kind, self.body, tuple(self.not_read))

    def _drop(self, native: str, why: str) -> None:
        if native in self.body:
            value = self.body.pop(native)
            name, written = self.written.get(native, (native, value))
            self.skip(name, written, why)
