import pytest

from stable_diffusion.errors import RecipeError, UnknownSampler
from stable_diffusion.sampler_table import SAMPLERS as TABLE
from stable_diffusion.samplers import SAMPLERS, resolve
from stable_diffusion.samplers.schedulers import SCHEDULERS as FORMULAS
from stable_diffusion.scheduler_table import SCHEDULERS, scheduler_named

KEYS = [
    *("ddim", "plms", "k_euler_a", "k_euler_ancestral", "k_euler", "k_lms", "k_lms_ka", "k_heun"),
    *("k_dpm_2", "k_dpm_2_ka", "k_dpm_2_a", "k_dpm_2_a_ka", "k_dpmpp_2s_a", "dpm2s_a"),
    *("k_dpmpp_2s_a_ka", "k_dpmpp_2m", "k_dpmpp_2m_ka", "k_dpmpp_sde", "k_dpmpp_sde_ka"),
    *("k_dpm_fast", "k_dpm_ad", "k_dpmpp_2m_sde", "k_dpmpp_2m_sde_ka", "k_dpmpp_3m_sde"),
    *("k_dpmpp_3m_sde_ka", "unipc", "restart", "ddim_cfgpp", "lcm", "tcd"),
]
LABELS = """DDIM, PLMS, Euler a, Euler, LMS, LMS Karras, Heun, DPM2, DPM2 Karras, DPM2 a,
DPM2 a Karras, DPM++ 2S a, DPM++ 2S a Karras, DPM++ 2M, DPM++ 2M Karras, DPM++ SDE,
DPM++ SDE Karras, DPM fast, DPM adaptive, UniPC, Restart, DDIM CFG++, LCM, TCD""".replace(
    "\n", " "
).split(", ")


def test_every_key_of_the_reference_is_there_and_no_other():
    assert set(KEYS) == {name for row in TABLE for name in (row.key, *row.aliases)}


@pytest.mark.parametrize("name", KEYS)
def test_keys_are_accepted_in_any_case(name: str):
    assert resolve(name) is resolve(name.upper())


@pytest.mark.parametrize("label", LABELS)
def test_labels_are_accepted_in_any_case_too(label: str):
    assert resolve(label).row.label == label
    assert resolve(f"  {label.lower()}".replace(" ", "  ")).row.label == label


def test_aliases_mean_the_same_sampler():
    assert resolve("k_euler_ancestral") is resolve("k_euler_a")
    assert resolve("dpm2s_a") is resolve("k_dpmpp_2s_a")


@pytest.mark.parametrize("name", ["", "euler_b", "k_euler_ka", "__class__"])
def test_an_unknown_sampler_is_answered_with_the_known_ones(name: str):
    with pytest.raises(UnknownSampler) as caught:
        resolve(name)
    assert all(key in str(caught.value) for key in SAMPLERS)
    assert isinstance(caught.value, RecipeError)


def test_rows_are_filed_under_their_keys():
    assert all(key == sampler.row.key for key, sampler in SAMPLERS.items())


SCHEDULER_LABELS = """Automatic, Karras, Exponential, Polyexponential, SGM Uniform, Trailing,
KL Optimal, Align Your Steps, Simple, Normal, DDIM, Beta""".replace("\n", " ").split(", ")


@pytest.mark.parametrize("label", SCHEDULER_LABELS)
def test_schedulers_are_named_as_automatic1111_does_in_any_case(label: str):
    row = scheduler_named(f" {label.upper()}")
    assert row
    assert row is scheduler_named(row.key)
    assert row.label == label


def test_every_scheduler_has_a_formula():
    assert {"automatic", *FORMULAS} == {row.key for row in SCHEDULERS}


def test_an_unknown_scheduler_is_answered_with_the_known_ones():
    with pytest.raises(UnknownSampler, match="karras, exponential"):
        resolve("k_euler", "karat")
