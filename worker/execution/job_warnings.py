"""The warnings of a job: what this worker could not do exactly as requested."""

from collections.abc import Iterator

from jobs.parameters.schemas import ImageToImage, Standard
from jobs.records.claims import Claims
from jobs.validation.request import Request
from worker.execution.active_job import ActiveJob
from worker.execution.endings import write_with_retry

_OF_MASKS = ("mask_invert", "mask_blur", "mask_fill", "mask_area", "mask_padding")


class JobWarnings:
    """The warnings of a claimed job, those of its submission included."""

    def __init__(self, job: ActiveJob, claims: Claims) -> None:
        self._job = job
        self._claims = claims
        self._warnings = list(job.claim.warnings)

    def add(self, *warnings: str) -> None:
        """Add those that the job does not have yet, and write them to its record."""
        new = [warning for warning in warnings if warning not in self._warnings]
        if new:
            self._warnings += new
            added = tuple(self._warnings)
            self._job.apply(write_with_retry(lambda: self._claims.warn(self._job.claim, added)))


def warnings_of(request: Request, *, device: str) -> tuple[str, ...]:
    """A sentence for each part of the request that this worker cannot do as requested.

    Args:
        device: where this worker computes, `cpu` or `cuda:N`.
    """
    found = (device_warning(request.device, device), _laion_warning(request))
    return (*(warning for warning in found if warning), *_mask_warnings(request))


def _mask_warnings(request: Request) -> Iterator[str]:
    """Of parameters of a mask that are not their defaults and have nothing to act on."""
    if not isinstance(request, ImageToImage):
        return
    fields = type(request).model_fields
    changed = {name for name in _OF_MASKS if getattr(request, name) != fields[name].default}
    if changed and not request.masked:
        yield f"{', '.join(sorted(changed))}: without a mask, no effect"
        return
    if request.mask_invert and request.mask is None and not request.mask_from_alpha:
        yield "mask_invert: there is no mask beside extend to invert; no effect"
    if "mask_padding" in changed and request.mask_area != "masked":
        yield "mask_padding: it has an effect with mask_area masked only"


def _laion_warning(request: Request) -> str:
    if isinstance(request, Standard) and request.laion400m:
        return "laion400m: that model is not available; it had no effect"
    return ""


def device_warning(requested: str | None, device: str) -> str:
    """A sentence if a job runs elsewhere than requested; else empty."""
    if requested in (None, device) or (requested == "cuda" and device.startswith("cuda")):
        return ""
    if device == "cpu":
        return (
            f"device: {requested} was asked for; this worker has no CUDA device, so it ran on the "
            "CPU"
        )
    return f"device: {requested} was asked for; this worker runs on {device}"
