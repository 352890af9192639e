"""What of a request its sampler does not take, in words."""

from collections.abc import Iterator

from jobs.names import sampler_named
from jobs.validation.cached_passes import why_nothing_is_cached
from jobs.validation.request import ImageToImage, Request, TextToImage

_NEEDING_CHURN = ("s_tmin", "s_tmax")
_OPTIONS = ("scheduler", "eta", "ddim_eta", "s_churn", *_NEEDING_CHURN, "s_noise")


def sampling_warnings(request: Request) -> tuple[str, ...]:
    """A sentence for each parameter of the sampling that has no effect on this request."""
    sampler = sampler_named(request.sampler)
    assert sampler, "a request has a sampler of the table"
    given = [name for name in _OPTIONS if not _is_default(request, name)]
    warnings = [
        f"{name}: the sampler {sampler.label} does not take it; it had no effect"
        for name in given
        if name not in sampler.takes
    ]
    if "s_churn" in sampler.takes and not request.s_churn:
        warnings += [
            f"{name}: it limits s_churn, which is 0; it had no effect"
            for name in given
            if name in _NEEDING_CHURN
        ]
    if request.scale == 1 and request.guidance_rescale and sampler.key != "ddim_cfgpp":
        warnings.append("guidance_rescale: scale is 1, so there is no guidance; it had no effect")
    if request.ddim_eta and request.eta is not None and "ddim_eta" in sampler.takes:
        warnings.append("ddim_eta: eta is given as well, and counts; it had no effect")
    # models that change a picture by an instruction have a guidance beside it
    if request.scale == 1 and isinstance(request, TextToImage) and sampler.key != "ddim_cfgpp":
        warnings += [
            f"{name}: scale is 1, so there is no guidance; it had no effect"
            for name in ("guidance_start", "guidance_end")
            if not _is_default(request, name)
        ]
    if not request.variation_strength and request.variation_seed is not None:
        warnings.append("variation_seed: variation_strength is 0; it had no effect")
    return (*warnings, *_cache_warnings(request), *_tiling_warnings(request))


def _cache_warnings(request: Request) -> Iterator[str]:
    if request.cache and (reason := why_nothing_is_cached(request)):
        yield f"cache: {reason}; it had no effect"


def _tiling_warnings(request: Request) -> Iterator[str]:
    """Of what follows the sampling and knows nothing of opposite edges."""
    if not request.tiling:
        return
    if isinstance(request, ImageToImage) and request.only_masked:
        yield "tiling: with mask_area masked, the edges of that part continue, not the picture's"
    if request.output_size or (isinstance(request, ImageToImage) and request.post_upscale):
        yield "tiling: enlarging the picture afterwards may leave a faint seam at its edges"


def _is_default(request: Request, name: str) -> bool:
    return getattr(request, name) == type(request).model_fields[name].default
