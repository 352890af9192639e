"""The table of samplers. Free of torch, so that the API reads it as the engine does.

A new sampler of k-diffusion is one row here; a solver of our own is also a line in
`samplers/__init__.py`, which builds the samplers that these rows describe.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Spacing = Literal["ddim", "model", "karras", "unipc", "lcm"]
Noise = Literal["none", "step", "brownian"]
SkipPenultimate = Literal["never", "own", "always"]

_LEVELS = frozenset({"scheduler"})
_CHURN = _LEVELS | {"s_churn", "s_tmin", "s_tmax", "s_noise"}
_NOISE = frozenset({"eta", "s_noise"})
_DDIM = frozenset({"eta", "ddim_eta"})


FEWEST_STEPS_TO_RESTART = 20
"""Below, Restart goes down once along its levels; from there on it chooses them itself."""


def _one(steps: int, _to_zero: bool) -> int:
    return steps


def _two(steps: int, to_zero: bool) -> int:
    """Two a step, and one in the last if it ends at σ = 0, where no network is evaluated."""
    return 2 * steps - to_zero


def _restart(steps: int, to_zero: bool) -> int:
    """The levels that it chooses itself end at 0."""
    return _two(steps, to_zero or steps >= FEWEST_STEPS_TO_RESTART)


def _plms(steps: int, _to_zero: bool) -> int:
    """One a step, and a second one in the first step."""
    return steps + 1 if steps > 1 else 1


def _adaptive(_steps: int, _to_zero: bool) -> int:
    """About what DPM adaptive needs on a trained model at a guidance scale of 7.5."""
    return 80


@dataclass(frozen=True)
class SamplerRow:
    """What a sampler is called, what it is made of and what it costs.

    Attributes:
        key: its canonical name in requests.
        label: its name for people, as AUTOMATIC1111 spells it if it has it.
        function: the solver: k-diffusion's `sample_<function>`, or one of our own.
        aliases: further keys.
        spacing: which noise levels it visits without a scheduler: see
            `NoiseSchedule.ddim_timesteps`, `model_sigmas`, `karras_sigmas`, `unipc_sigmas` and
            `lcm_sigmas`.
        skip_penultimate: leave the last level before 0 out: never, always, or only with its own
            spacing.
        noise: what it draws on the way: nothing, fresh noise at every step, or the increments of
            a Brownian path.
        evaluations: network evaluations of a run with that many steps, which may end at σ = 0.
        exact: whether it takes exactly those; else they are an estimate for one image, and images
            are sampled one by one.
        takes: the parameters of requests that change it, among `scheduler`, `eta`, `ddim_eta`,
            `s_churn`, `s_tmin`, `s_tmax` and `s_noise`.
        distilled: whether it is made for models that were distilled to a few steps, which are too
            far apart to reuse anything of one in the next.
    """

    key: str
    label: str
    function: str
    aliases: tuple[str, ...] = ()
    spacing: Spacing = "model"
    skip_penultimate: SkipPenultimate = "never"
    noise: Noise = "none"
    evaluations: Callable[[int, bool], int] = _one
    exact: bool = True
    takes: frozenset[str] = _LEVELS
    distilled: bool = False


def _ancestral(
    key: str,
    label: str,
    function: str,
    *aliases: str,
    spacing: Spacing = "model",
    skip: SkipPenultimate = "never",
    evaluations: Callable[[int, bool], int] = _two,
) -> SamplerRow:
    return SamplerRow(
        key, label, function, aliases, spacing, skip, "step", evaluations, takes=_LEVELS | _NOISE
    )


def _sde(
    key: str,
    label: str,
    function: str,
    *,
    spacing: Spacing = "model",
    skip: SkipPenultimate = "never",
    evaluations: Callable[[int, bool], int] = _one,
) -> SamplerRow:
    return SamplerRow(
        key, label, function, (), spacing, skip, "brownian", evaluations, takes=_LEVELS | _NOISE
    )


def _distilled(key: str, label: str, takes: frozenset[str]) -> SamplerRow:
    return SamplerRow(key, label, key, spacing="lcm", noise="step", takes=takes, distilled=True)


SAMPLERS: tuple[SamplerRow, ...] = (
    SamplerRow("ddim", "DDIM", "ddim", spacing="ddim", noise="step", takes=_DDIM),
    SamplerRow("ddim_cfgpp", "DDIM CFG++", "ddim_cfgpp", spacing="ddim", noise="step", takes=_DDIM),
    SamplerRow("plms", "PLMS", "plms", spacing="ddim", evaluations=_plms, takes=frozenset()),
    SamplerRow("unipc", "UniPC", "unipc", spacing="unipc", takes=frozenset()),
    _ancestral("k_euler_a", "Euler a", "euler_ancestral", "k_euler_ancestral", evaluations=_one),
    SamplerRow("k_euler", "Euler", "euler", takes=_CHURN),
    SamplerRow("k_lms", "LMS", "lms"),
    SamplerRow("k_heun", "Heun", "heun", evaluations=_two, takes=_CHURN),
    SamplerRow(
        "k_dpm_2", "DPM2", "dpm_2", skip_penultimate="always", evaluations=_two, takes=_CHURN
    ),
    _ancestral("k_dpm_2_a", "DPM2 a", "dpm_2_ancestral", skip="always"),
    _ancestral("k_dpmpp_2s_a", "DPM++ 2S a", "dpmpp_2s_ancestral", "dpm2s_a"),
    SamplerRow("k_dpmpp_2m", "DPM++ 2M", "dpmpp_2m"),
    _sde("k_dpmpp_sde", "DPM++ SDE", "dpmpp_sde", evaluations=_two),
    _sde("k_dpmpp_2m_sde", "DPM++ 2M SDE", "dpmpp_2m_sde", skip="own"),
    _sde("k_dpmpp_3m_sde", "DPM++ 3M SDE", "dpmpp_3m_sde", skip="always"),
    SamplerRow("k_dpm_fast", "DPM fast", "dpm_fast", takes=_NOISE),
    SamplerRow(
        "k_dpm_ad",
        "DPM adaptive",
        "dpm_adaptive",
        evaluations=_adaptive,
        exact=False,
        takes=_NOISE,
    ),
    SamplerRow(
        "restart",
        "Restart",
        "restart",
        spacing="karras",
        noise="step",
        evaluations=_restart,
        takes=_LEVELS | {"s_noise"},
    ),
    _distilled("lcm", "LCM", _LEVELS | {"s_noise"}),
    _distilled("tcd", "TCD", _LEVELS | _NOISE),
    SamplerRow("k_lms_ka", "LMS Karras", "lms", spacing="karras"),
    SamplerRow(
        "k_dpm_2_ka",
        "DPM2 Karras",
        "dpm_2",
        spacing="karras",
        skip_penultimate="always",
        evaluations=_two,
        takes=_CHURN,
    ),
    _ancestral("k_dpm_2_a_ka", "DPM2 a Karras", "dpm_2_ancestral", spacing="karras", skip="always"),
    _ancestral("k_dpmpp_2s_a_ka", "DPM++ 2S a Karras", "dpmpp_2s_ancestral", spacing="karras"),
    SamplerRow("k_dpmpp_2m_ka", "DPM++ 2M Karras", "dpmpp_2m", spacing="karras"),
    _sde("k_dpmpp_sde_ka", "DPM++ SDE Karras", "dpmpp_sde", spacing="karras", evaluations=_two),
    _sde("k_dpmpp_2m_sde_ka", "DPM++ 2M SDE Karras", "dpmpp_2m_sde", spacing="karras"),
    _sde(
        "k_dpmpp_3m_sde_ka", "DPM++ 3M SDE Karras", "dpmpp_3m_sde", spacing="karras", skip="always"
    ),
)
"""In the order in which they are listed to people."""

_BY_NAME = {name.lower(): row for row in SAMPLERS for name in (row.key, row.label, *row.aliases)}


def sampler_named(name: str) -> SamplerRow | None:
    """The sampler of a key, an alias or a label, in any case; None if there is none."""
    return _BY_NAME.get(" ".join(name.split()).lower())
