"""What a request asks of a few-step model or LoRA that cannot work, in words."""

from collections.abc import Iterator, Sequence

from jobs.names import sampler_named
from jobs.validation.request import Request
from jobs.validation.settled_defaults import Source


def defaults_warnings(request: Request, sources: Sequence[Source]) -> tuple[str, ...]:
    """A sentence for each value with which a model or a LoRA makes bad pictures.

    Args:
        request: settled, of one combination.
        sources: the LoRAs of its prompts and its model; the first that has a bound counts.
    """
    return (*_too_much(request, sources), *_other_sampler(request, sources))


def _too_much(request: Request, sources: Sequence[Source]) -> Iterator[str]:
    for field, value, name in (
        ("ddim_steps", request.ddim_steps, "steps"),
        ("scale", request.scale, "scale"),
    ):
        bounded = (each for each in sources if getattr(each.defaults, f"max_{name}") is not None)
        if source := next(bounded, None):
            most, best = getattr(source.defaults, f"max_{name}"), getattr(source.defaults, name)
            if value > most:
                wants = f", best {best:g}" if best is not None and best != most else ""
                yield (
                    f"{field}: {value:g} is too much for {source.name}, which is made for at most "
                    f"{most:g}{wants}"
                )


def _other_sampler(request: Request, sources: Sequence[Source]) -> Iterator[str]:
    source = next((each for each in sources if each.defaults.samplers), None)
    row = sampler_named(request.sampler)
    if source is None or row is None:
        return
    rows = [sampler_named(name) for name in source.defaults.samplers or ()]
    known = [each for each in rows if each]
    if known and row not in known:
        labels = " or ".join(each.label for each in known)
        yield f"sampler: {source.name} is made for {labels}, not for {row.label}"
