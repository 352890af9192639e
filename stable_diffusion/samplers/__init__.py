"""Samplers: the functions behind the rows of the sampler table."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from stable_diffusion import sampler_table, scheduler_table
from stable_diffusion.errors import UnknownSampler
from stable_diffusion.sampler_table import SamplerRow, sampler_named
from stable_diffusion.samplers import consistency, ddim, k_samplers, plms, restart, unipc
from stable_diffusion.samplers.sampler import Sampler, SamplerFunction, Start
from stable_diffusion.samplers.schedule import NoiseSchedule, Spacing, without_penultimate
from stable_diffusion.samplers.schedulers import SCHEDULERS
from stable_diffusion.scheduler_table import AUTOMATIC, scheduler_named

_SPACINGS: Mapping[sampler_table.Spacing, Spacing] = {
    "ddim": NoiseSchedule.ddim_timesteps,
    "model": NoiseSchedule.model_sigmas,
    "karras": NoiseSchedule.karras_sigmas,
    "unipc": NoiseSchedule.unipc_sigmas,
    "lcm": NoiseSchedule.lcm_sigmas,
}
_OUR_FUNCTIONS: Mapping[str, SamplerFunction] = {
    "ddim": ddim.ddim,
    "ddim_cfgpp": ddim.ddim_cfgpp,
    "plms": plms.plms,
    "restart": restart.restart,
    "unipc": unipc.unipc,
    "lcm": consistency.lcm,
    "tcd": consistency.tcd,
    "dpm_fast": k_samplers.fast,
    "dpm_adaptive": k_samplers.adaptive,
}
_STARTS: Mapping[sampler_table.Spacing, Start] = {
    "ddim": ddim.start,
    "unipc": unipc.start,
    "lcm": unipc.start,
}
_K_DIFFUSION: Mapping[sampler_table.Noise, Callable[[SamplerRow], SamplerFunction]] = {
    "none": k_samplers.deterministic,
    "step": k_samplers.ancestral,
    "brownian": k_samplers.brownian,
}


def _sampler(row: SamplerRow) -> Sampler:
    spacing = _SPACINGS[row.spacing]
    return Sampler(
        row=row,
        spacing=spacing if row.skip_penultimate == "never" else without_penultimate(spacing),
        start=_STARTS.get(row.spacing, k_samplers.start),
        run=_OUR_FUNCTIONS.get(row.function) or _K_DIFFUSION[row.noise](row),
    )


SAMPLERS: Mapping[str, Sampler] = MappingProxyType(
    {row.key: _sampler(row) for row in sampler_table.SAMPLERS}
)


def resolve(name: str, scheduler: str = AUTOMATIC) -> Sampler:
    """The sampler of a key, an alias or a label, in any case.

    Args:
        scheduler: a name of the table of schedulers, in any case. A sampler that does not take one
            keeps its own levels.

    Raises:
        UnknownSampler: there is none, or no such scheduler; the message lists the keys.
    """
    row = sampler_named(name)
    if row is None:
        raise UnknownSampler(f"no sampler is called {name!r}; there are {', '.join(SAMPLERS)}")
    sampler, levels = SAMPLERS[row.key], scheduler_named(scheduler)
    if levels is None:
        keys = ", ".join(each.key for each in scheduler_table.SCHEDULERS)
        raise UnknownSampler(f"no scheduler is called {scheduler!r}; there are {keys}")
    if levels.key == AUTOMATIC or "scheduler" not in row.takes:
        return sampler
    spacing = SCHEDULERS[levels.key]
    skips = row.skip_penultimate == "always"
    return replace(
        sampler,
        spacing=without_penultimate(spacing) if skips else spacing,
        to_zero=levels.to_zero,
    )
