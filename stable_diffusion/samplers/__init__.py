"""Samplers: the functions behind the rows of the sampler table."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from stable_diffusion import sampler_table
from stable_diffusion.errors import UnknownSampler
from stable_diffusion.sampler_table import SamplerRow, sampler_named
from stable_diffusion.samplers import ddim, k_samplers, plms
from stable_diffusion.samplers.sampler import Sampler, SamplerFunction
from stable_diffusion.samplers.schedule import NoiseSchedule, Spacing, without_penultimate

_SPACINGS: Mapping[sampler_table.Spacing, Spacing] = {
    "ddim": NoiseSchedule.ddim_timesteps,
    "model": NoiseSchedule.model_sigmas,
    "karras": NoiseSchedule.karras_sigmas,
}
_OUR_FUNCTIONS: Mapping[str, SamplerFunction] = {
    "ddim": ddim.ddim,
    "plms": plms.plms,
    "dpm_fast": k_samplers.fast,
    "dpm_adaptive": k_samplers.adaptive,
}
_K_DIFFUSION: Mapping[sampler_table.Noise, Callable[[str], SamplerFunction]] = {
    "none": k_samplers.deterministic,
    "step": k_samplers.ancestral,
    "brownian": k_samplers.brownian,
}


def _sampler(row: SamplerRow) -> Sampler:
    spacing = _SPACINGS[row.spacing]
    return Sampler(
        row=row,
        spacing=without_penultimate(spacing) if row.skip_penultimate else spacing,
        start=ddim.start if row.spacing == "ddim" else k_samplers.start,
        run=_OUR_FUNCTIONS.get(row.function) or _K_DIFFUSION[row.noise](row.function),
    )


SAMPLERS: Mapping[str, Sampler] = MappingProxyType(
    {row.key: _sampler(row) for row in sampler_table.SAMPLERS}
)


def resolve(name: str) -> Sampler:
    """The sampler of a key, an alias or a label, in any case.

    Raises:
        UnknownSampler: there is none; the message lists the keys.
    """
    row = sampler_named(name)
    if row is None:
        raise UnknownSampler(f"no sampler is called {name!r}; there are {', '.join(SAMPLERS)}")
    return SAMPLERS[row.key]
