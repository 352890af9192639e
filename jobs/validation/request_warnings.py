"""What the answer to a valid request says of it, in words."""

from collections.abc import Iterator, Sequence
from itertools import cycle

from jobs.parameters.schemas import Request
from jobs.validation.comparisons import comparison_warnings
from jobs.validation.defaults_warnings import defaults_warnings
from jobs.validation.hires_rules import hires_warnings
from jobs.validation.prompt_warnings import prompt_warnings
from jobs.validation.sampling_warnings import sampling_warnings
from jobs.validation.settled_defaults import FilledBody


def request_warnings(
    request: Request, parts: Sequence[Request], filled: Sequence[FilledBody]
) -> Iterator[str]:
    """The warnings of all its combinations; several may be the same.

    Args:
        parts: of the request, with the texts that they read.
        filled: what was filled in: for each combination, or once for all.
    """
    for each in filled:
        yield from each.warnings
    yield from prompt_warnings(parts, own=request.wildcards or not request.from_file)
    combinations = request.combinations()
    for combination in combinations:
        yield from sampling_warnings(combination)
    for combination, own in zip(combinations, cycle(filled), strict=False):
        yield from hires_warnings(combination, own.loras.tags)
        yield from defaults_warnings(combination, own.sources)
    yield from comparison_warnings(request)
