"""Samplers: every one there is, by every name it answers to."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from stable_diffusion.errors import UnknownSampler
from stable_diffusion.samplers import ddim, k_samplers, plms
from stable_diffusion.samplers.k_samplers import ancestral, brownian, deterministic
from stable_diffusion.samplers.sampler import Run, Sampler
from stable_diffusion.samplers.schedule import NoiseSchedule, Spacing, without_penultimate

_MODEL = NoiseSchedule.model_sigmas
_KARRAS = NoiseSchedule.karras_sigmas
_MODEL_CUT = without_penultimate(_MODEL)
_KARRAS_CUT = without_penultimate(_KARRAS)


def _once(steps: int) -> int:
    return steps


def _twice(steps: int) -> int:
    """Two evaluations a step, but one for the last: it leads to σ = 0, where nothing is asked."""
    return 2 * steps - 1


def _adaptive(_steps: int) -> int:
    """About what DPM adaptive takes on a trained model at a guidance scale of 7.5."""
    return 80


def _compvis(key: str, label: str, run: Run, evaluations: Callable[[int], int]) -> Sampler:
    return Sampler(
        key=key,
        label=label,
        spacing=NoiseSchedule.ddim_timesteps,
        start=ddim.start,
        run=run,
        evaluations=evaluations,
    )


def _k(
    keys: str,
    label: str,
    run: Run,
    spacing: Spacing = _MODEL,
    evaluations: Callable[[int], int] = _once,
) -> Sampler:
    key, *aliases = keys.split()
    return Sampler(
        key=key,
        label=label,
        aliases=tuple(aliases),
        spacing=spacing,
        start=k_samplers.start,
        run=run,
        evaluations=evaluations,
        exact=evaluations is not _adaptive,
    )


_TABLE = (
    _compvis("ddim", "DDIM", ddim.ddim, _once),
    _compvis("plms", "PLMS", plms.plms, plms.evaluations),
    _k("k_euler_a k_euler_ancestral", "Euler a", ancestral("euler_ancestral")),
    _k("k_euler", "Euler", deterministic("euler")),
    _k("k_lms", "LMS", deterministic("lms")),
    _k("k_heun", "Heun", deterministic("heun"), _MODEL, _twice),
    _k("k_dpm_2", "DPM2", deterministic("dpm_2"), _MODEL_CUT, _twice),
    _k("k_dpm_2_a", "DPM2 a", ancestral("dpm_2_ancestral"), _MODEL_CUT, _twice),
    _k("k_dpmpp_2s_a dpm2s_a", "DPM++ 2S a", ancestral("dpmpp_2s_ancestral"), _MODEL, _twice),
    _k("k_dpmpp_2m", "DPM++ 2M", deterministic("dpmpp_2m")),
    _k("k_dpmpp_sde", "DPM++ SDE", brownian("dpmpp_sde"), _MODEL, _twice),
    _k("k_dpmpp_2m_sde", "DPM++ 2M SDE", brownian("dpmpp_2m_sde"), _MODEL_CUT),
    _k("k_dpmpp_3m_sde", "DPM++ 3M SDE", brownian("dpmpp_3m_sde"), _MODEL_CUT),
    _k("k_dpm_fast", "DPM fast", k_samplers.fast),
    _k("k_dpm_ad", "DPM adaptive", k_samplers.adaptive, _MODEL, _adaptive),
    _k("k_lms_ka", "LMS Karras", deterministic("lms"), _KARRAS),
    _k("k_dpm_2_ka", "DPM2 Karras", deterministic("dpm_2"), _KARRAS_CUT, _twice),
    _k("k_dpm_2_a_ka", "DPM2 a Karras", ancestral("dpm_2_ancestral"), _KARRAS_CUT, _twice),
    _k("k_dpmpp_2s_a_ka", "DPM++ 2S a Karras", ancestral("dpmpp_2s_ancestral"), _KARRAS, _twice),
    _k("k_dpmpp_2m_ka", "DPM++ 2M Karras", deterministic("dpmpp_2m"), _KARRAS),
    _k("k_dpmpp_sde_ka", "DPM++ SDE Karras", brownian("dpmpp_sde"), _KARRAS, _twice),
    _k("k_dpmpp_2m_sde_ka", "DPM++ 2M SDE Karras", brownian("dpmpp_2m_sde"), _KARRAS),
    _k("k_dpmpp_3m_sde_ka", "DPM++ 3M SDE Karras", brownian("dpmpp_3m_sde"), _KARRAS_CUT),
)

SAMPLERS: Mapping[str, Sampler] = MappingProxyType({row.key: row for row in _TABLE})

_BY_NAME = {name.lower(): row for row in _TABLE for name in (row.key, row.label, *row.aliases)}


def resolve(name: str) -> Sampler:
    """The sampler of a key, an alias or a label, in any case.

    Raises:
        UnknownSampler: there is none; the message lists the keys.
    """
    sampler = _BY_NAME.get(" ".join(name.split()).lower())
    if sampler is None:
        raise UnknownSampler(f"no sampler is called {name!r}; there are {', '.join(SAMPLERS)}")
    return sampler
