"""AUTOMATIC1111's names of samplers and schedulers, and what each means here.

An old label ("DPM++ 2M Karras") means the same as the pair of its sampler and its scheduler. The
scheduler `automatic` is the one that AUTOMATIC1111 uses for that sampler since version 1.9.
"""

from collections.abc import Collection
from dataclasses import dataclass

from api.recipes.automatic_schedulers import AUTOMATIC_SCHEDULERS
from jobs import names
from jobs.names import sampler_named

AUTOMATIC = "automatic"
DEFAULT_SAMPLER = "Euler"


@dataclass(frozen=True)
class SchedulerName:
    """A scheduler: its name here, AUTOMATIC1111's name and label of it, and its aliases."""

    key: str
    name: str
    label: str
    aliases: tuple[str, ...] = ()


SCHEDULERS: tuple[SchedulerName, ...] = (
    SchedulerName(AUTOMATIC, AUTOMATIC, "Automatic"),
    SchedulerName("normal", "uniform", "Uniform"),
    SchedulerName("karras", "karras", "Karras"),
    SchedulerName("exponential", "exponential", "Exponential"),
    SchedulerName("polyexponential", "polyexponential", "Polyexponential"),
    SchedulerName("sgm_uniform", "sgm_uniform", "SGM Uniform", ("SGMUniform",)),
    SchedulerName("kl_optimal", "kl_optimal", "KL Optimal"),
    SchedulerName("align_your_steps", "align_your_steps", "Align Your Steps"),
    SchedulerName("simple", "simple", "Simple"),
    SchedulerName("normal", "normal", "Normal"),
    SchedulerName("ddim_uniform", "ddim", "DDIM", ("ddim_uniform",)),
    SchedulerName("beta", "beta", "Beta"),
)
"""In AUTOMATIC1111's order; `uniform` and `normal` visit the same noise levels here."""
NATIVE_SCHEDULERS = frozenset(row.key for row in names.SCHEDULERS)
SUBSTITUTES = {
    "DPM++ 2M SDE Heun": "DPM++ 2M SDE",
}
"""AUTOMATIC1111's samplers that are not in the table, each with the one that is used instead."""
_KARRAS = " Karras"


@dataclass(frozen=True)
class Sampling:
    """A sampler and a scheduler that the service has.

    Attributes:
        sampler: the key of its row.
        scheduler: the native field's value; None: the field is left out.
        warnings: where it is not what was asked for.
    """

    sampler: str
    scheduler: str | None = None
    warnings: tuple[str, ...] = ()


def scheduler_named(spelling: str) -> SchedulerName | None:
    """The scheduler of a name, label or alias, in any case; None if there is none."""
    for row in SCHEDULERS:
        if spelling.lower() in {each.lower() for each in (row.key, row.name, row.label)}:
            return row
    return next((row for row in SCHEDULERS if spelling in row.aliases), None)


def split_label(name: str) -> tuple[str, SchedulerName | None]:
    """A sampler's name without the scheduler at its end, and that scheduler."""
    for row in SCHEDULERS:
        for spelling in (row.label, row.name, *row.aliases):
            if name.lower().endswith(f" {spelling.lower()}"):
                return name[: -len(spelling) - 1], row
    return name, None


def sampling_of(
    sampler: str, scheduler: str | None, known: Collection[str] | None = NATIVE_SCHEDULERS
) -> Sampling | None:
    """What a request's sampler and scheduler mean here.

    Args:
        sampler: a name, key or label, perhaps with a scheduler at its end.
        scheduler: a name or label; None: none was sent.
        known: the values of the native field `scheduler`; None: there is no such field.

    Returns:
        None if there is no such sampler.
    """
    warnings: list[str] = []
    name, wanted = split_label(sampler)
    if wanted is None and scheduler:
        wanted = scheduler_named(scheduler)
        if wanted is None:
            warnings.append(f"scheduler: there is no {scheduler[:80]!r}; Automatic was used")
    row = sampler_named(name)
    if row is None and (instead := SUBSTITUTES.get(name)):
        warnings.append(f"sampler_name: {name} is not available; {instead} was used")
        row = sampler_named(instead)
    if row is None:
        return None
    if row.label.endswith(_KARRAS):  # a key such as k_dpmpp_2m_ka
        return Sampling(row.key, None, tuple(warnings))
    asked = wanted is not None and wanted.key != AUTOMATIC
    key = wanted.key if wanted and asked else AUTOMATIC_SCHEDULERS.get(row.label, AUTOMATIC)
    if key == AUTOMATIC:
        return Sampling(row.key, None, tuple(warnings))
    if row.spacing == "ddim":  # AUTOMATIC1111 has no scheduler for them either
        if asked:
            warnings.append(f"scheduler: {row.label} has none; its own spacing was used")
        return Sampling(row.key, None, tuple(warnings))
    if known is not None and key in known:
        return Sampling(row.key, key, tuple(warnings))
    if key == "karras" and (karras := sampler_named(row.label + _KARRAS)):
        return Sampling(karras.key, None, tuple(warnings))
    if asked and key != "normal":
        warnings.append(f"scheduler: {scheduler or key!r} is not available; Automatic was used")
    return Sampling(row.key, None, tuple(warnings))
