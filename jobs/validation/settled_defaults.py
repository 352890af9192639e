"""Fills what a body leaves out: by its preset, its LoRAs, its model, and then by its dialect.

What none of them says has the default of the schema.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, get_args

from jobs.errors import Fault
from jobs.model_defaults import Defaults, ModelDefaults, Preset
from jobs.names import plain_name, sampler_named, scheduler_named
from jobs.parameters.comparison import MAX_VALUES
from jobs.parameters.prompt import PromptGrammar
from jobs.parameters.schemas import NULL_HAS_A_MEANING
from jobs.parameters.types import MAX_PROMPT
from jobs.prompts.lora_tags import NO_LORAS, AddedLoras, lora_name
from jobs.prompts.prompt_checks import loras_in
from jobs.served import Served

_FIELDS = {
    "steps": "ddim_steps",
    "scale": "scale",
    "vae": "vae",
    "width": "W",
    "height": "H",
}
_SAMPLER, _SCHEDULER = "sampler", "scheduler"
FILLED = (*_FIELDS.values(), _SAMPLER, _SCHEDULER)
"""The fields of a request that can be filled, besides its prompts."""


@dataclass(frozen=True)
class Source:
    """Who wants the values: a model, a preset of it, or a LoRA, by its name."""

    name: str
    defaults: Defaults
    problem: str = ""


@dataclass(frozen=True)
class FilledBody:
    """A body with values for what it left out.

    Attributes:
        loras: those that its prompts are to get, from its preset or its model.
        sources: who has had a say: the LoRAs of its prompts, and the model.
        faults: of `preset`.
    """

    body: dict[str, Any]
    loras: AddedLoras = NO_LORAS
    sources: tuple[Source, ...] = ()
    faults: tuple[Fault, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence for each source whose own file of defaults is faulty."""
        return tuple(source.problem for source in self.sources if source.problem)


@dataclass(frozen=True)
class InstalledDefaults:
    """What the installed models and LoRAs want, by name; LoRAs also by their other names."""

    models: Mapping[str, Source] = field(default_factory=dict[str, Source])
    loras: Mapping[str, Source] = field(default_factory=dict[str, Source])

    @classmethod
    def of(cls, served: Served) -> "InstalledDefaults":
        """Those that workers announced."""
        loras: dict[str, Source] = {}
        for lora in served.lora_facts:
            source = Source(lora.name, lora.defaults, lora.problem)
            loras |= dict.fromkeys(lora.aliases, source) | {lora.name: source}
        models = {
            each.name: Source(each.name, each.defaults or ModelDefaults(), each.defaults_problem)
            for each in served.model_facts
        }
        return cls(models, loras)

    def presets(self, model: str) -> Mapping[Preset, Defaults]:
        """The presets of a model, by name."""
        source = self.models.get(model)
        defaults = source.defaults if source else None
        return (isinstance(defaults, ModelDefaults) and defaults.presets) or {}

    def wanted(self, model: str, preset: str | None = None) -> dict[str, Any]:
        """What a request with a model, and a preset of it, gets for what it leaves out.

        Returns:
            By the names of fields; `loras` are those that its prompt gets, with their weights.
        """
        filled = self.fill({"prompt": "", "preset": preset}, model)
        values = {name: filled.body[name] for name in FILLED if name in filled.body}
        return values | ({"loras": [*filled.loras.loras]} if filled.loras.loras else {})

    def wanted_by_preset(self, model: str) -> dict[Preset, dict[str, Any]]:
        """The same for each preset of a model."""
        return {preset: self.wanted(model, preset) for preset in self.presets(model)}

    def fill(
        self, body: Mapping[str, Any], model: str, usual: Mapping[str, Any] | None = None
    ) -> FilledBody:
        """Fill a body, in which null counts as left out, except where it has a meaning.

        Args:
            body: by the names of `jobs.parameters.schemas`; it may be faulty.
            model: the name of the installed model that it means.
            usual: what is filled in for what neither the body nor the model says.
        """
        own = self.models.get(model)
        of_model = [own.defaults] if own else []
        presets, faults = self.presets(model), ()
        # another value is a fault of the field
        preset = next((each for each in get_args(Preset) if each == body.get("preset")), None)
        if preset and preset in presets:
            of_model.insert(0, presets[preset])
        elif preset:
            faults = (_no_preset(preset, model, presets),)
        named = {
            plain_name(tag.name)
            for text, grammar in _prompts(body)
            for tag in loras_in(text, grammar)
        }
        wanted = next((each.loras for each in of_model if each.loras is not None), ())
        used = (*map(lora_name, wanted), *sorted(named))
        canonical = {name: source.name for name, source in self.loras.items()}
        loras = [self.loras[each] for each in dict.fromkeys(map(canonical.get, used)) if each]
        added = AddedLoras(tuple(wanted), canonical)
        # a preset precedes the LoRAs, and these precede the model
        order = [*of_model[:-1], *(lora.defaults for lora in loras), *of_model[-1:]]
        filled = {
            field_: value
            for field_, value in body.items()
            if value is not None or field_ in NULL_HAS_A_MEANING
        }
        for defaults in (*order, _as_defaults(usual or {})):
            _add(filled, defaults)
        # a null that nothing replaced stays
        whole = {**body, **filled}
        return FilledBody(whole, added, (*loras, *([own] if own else [])), faults)


def named(defaults: Defaults) -> dict[str, Any]:
    """Defaults by the names of fields."""
    values = {_FIELDS.get(name, name): value for name, value in defaults}
    return {name: values[name] for name in FILLED if values.get(name) is not None}


def _add(filled: dict[str, Any], defaults: Defaults) -> None:
    """Fill what is left out. A scheduler comes with its sampler, or with one that takes it."""
    for name, field_ in _FIELDS.items():
        value = getattr(defaults, name)
        if value is not None:
            filled.setdefault(field_, value)
    sampler_chosen = filled.get("plms") is True or _SAMPLER in _varied(filled)
    if defaults.sampler and sampler_named(defaults.sampler) and not sampler_chosen:
        filled.setdefault(_SAMPLER, defaults.sampler)
    row = sampler_named(str(filled.get(_SAMPLER, "")))
    own = sampler_named(defaults.sampler) if defaults.sampler else row
    known = defaults.scheduler and scheduler_named(defaults.scheduler)
    if known and row and row is own and _SCHEDULER in row.takes:
        filled.setdefault(_SCHEDULER, defaults.scheduler)


def _as_defaults(usual: Mapping[str, Any]) -> Defaults:
    names = {field_: name for name, field_ in _FIELDS.items()}
    return Defaults.model_construct(
        **{names.get(field_, field_): value for field_, value in usual.items()}
    )


def _no_preset(name: str, model: str, presets: Mapping[Preset, Defaults]) -> Fault:
    if presets:
        problem = f"is no preset of the model {model}"
        expected = f"one of: {', '.join(sorted(presets))}; or the field left out"
    else:
        problem = f"was asked for, and the model {model} has no presets"
        expected = (
            f"the field left out; an operator gives the model one by a table [preset.{name}] in "
            f"{model}.toml beside it, or by a few-step LoRA for its family (models pull "
            "lcm-lora-sdv1-5, or lcm-lora-sdxl)"
        )
    return Fault(
        field="preset", code="unknown_preset", value=name, problem=problem, expected=expected
    )


def _prompts(body: Mapping[str, Any]) -> Iterator[tuple[str, PromptGrammar]]:
    """The texts that a body's prompts may have, each with the grammar that it is read in.

    Those that are too long, or too many, are faults of their fields: reading 16 MB takes minutes.
    """
    varied = _varied(body).get("prompt")
    texts = chain([body.get("prompt")], varied[:MAX_VALUES] if isinstance(varied, list) else ())
    short = (text for text in texts if isinstance(text, str) and len(text) <= MAX_PROMPT)
    return ((text, _grammar(body)) for text in short)


def _grammar(body: Mapping[str, Any]) -> PromptGrammar:
    return "a1111" if body.get("prompt_grammar") == "a1111" else "native"


def _varied(body: Mapping[str, Any]) -> Mapping[str, Any]:
    vary = body.get("vary")
    return vary if isinstance(vary, dict) else {}
