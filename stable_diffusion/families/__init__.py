"""The table of model families. Importing it imports neither torch nor a network.

Every module of this package that defines `FAMILIES` is part of the table, so a new family is one
new file here; `CONTRIBUTING.md` says what it must contain.
"""

import pkgutil
from collections.abc import Collection, Mapping
from importlib import import_module

from stable_diffusion.families import foreign
from stable_diffusion.families.family import Family, Shape


def _discover() -> tuple[Family, ...]:
    modules = sorted(info.name for info in pkgutil.iter_modules(__path__))
    return tuple(
        family
        for name in modules
        for family in getattr(import_module(f"{__name__}.{name}"), "FAMILIES", ())
    )


FAMILIES: tuple[Family, ...] = _discover()


def family_by_id(family_id: str) -> Family:
    """The family of this id. Raises KeyError."""
    found = {family.id: family for family in FAMILIES}
    return found[family_id]


def detect(names: Collection[str], shape: Shape) -> Family | None:
    """The family of a checkpoint, recognised by the names and shapes of its tensors.

    Args:
        names: of all tensors.
        shape: the shape of a tensor by its name.
    """
    return next((family for family in FAMILIES if family.detect(names, shape)), None)


def by_context_width() -> dict[int, str]:
    """The ids of the families by the width of their text embeddings, the first of each width."""
    known: dict[int, str] = {}
    for family in FAMILIES:  # of those with one width, the first takes latents alone
        known.setdefault(family.context_width, family.id)
    return known


def with_more_encoders(widths: Mapping[str, int]) -> tuple[dict[str, int], ...]:
    """The text encoders of each family that has these, and others: the widths by name."""
    encoders = ({e.name: e.width for e in family.text_encoders.values()} for family in FAMILIES)
    return tuple(each for each in encoders if widths.items() < each.items())


def explain_refusal(names: Collection[str], shape: Shape) -> str:
    """What a checkpoint of no family is, as a clause: "it is a ControlNet"."""
    reasons = (family.refusal(names, shape) for family in FAMILIES)
    return next(filter(None, reasons), None) or foreign.explain(names, shape, by_context_width())
