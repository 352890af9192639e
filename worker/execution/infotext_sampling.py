"""The parameters of the sampling in an infotext, under AUTOMATIC1111's names.

Of those that it has no name for, "CFG Rescale φ" is that of the extension for it; no other tool
writes "Guidance start", "Guidance end" and "Cache interval".
"""

from jobs.cached_passes import why_nothing_is_cached
from jobs.names import sampler_named
from jobs.request import Request

Settings = dict[str, object]


def sampling_settings(request: Request) -> Settings:
    """Those that change the picture and differ from the default.

    Args:
        request: with the seed and the variation seed of the image.
    """
    caches = request.cache is not None and not why_nothing_is_cached(request)
    given = {
        "Tiling": request.tiling or None,
        "CFG Rescale φ": request.guidance_rescale or None,
        "Guidance start": request.guidance_start or None,
        "Guidance end": None if request.guidance_end == 1 else request.guidance_end,
        "Cache interval": request.cache_interval if caches else None,
    }
    guidance = {name: value for name, value in given.items() if value is not None}
    return _noise(request) | _sampler(request) | guidance


def _noise(request: Request) -> Settings:
    settings: Settings = {}
    if request.variation_strength:
        settings["Variation seed"] = request.variation_seed
        settings["Variation seed strength"] = request.variation_strength
    width, height = request.seed_resize_from_w, request.seed_resize_from_h
    if width or height:
        settings["Seed resize from"] = f"{width or request.W}x{height or request.H}"
    return settings


def _sampler(request: Request) -> Settings:
    sampler = sampler_named(request.sampler)
    assert sampler, "a request has a sampler of the table"
    ddim = "ddim_eta" in sampler.takes
    eta = request.ddim_eta or None if ddim and request.eta is None else request.eta
    churn = request.s_churn or None
    # in the order of the table's names: what a sampler does not take had no effect
    given = {
        "eta": ("Eta DDIM" if ddim else "Eta", eta),
        "s_churn": ("Sigma churn", churn),
        "s_tmin": ("Sigma tmin", churn and (request.s_tmin or None)),
        "s_tmax": ("Sigma tmax", churn and request.s_tmax),
        "s_noise": ("Sigma noise", None if request.s_noise == 1 else request.s_noise),
    }
    return {
        label: value
        for name, (label, value) in given.items()
        if name in sampler.takes and value is not None
    }
