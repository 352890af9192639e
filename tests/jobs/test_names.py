import pytest

from jobs.names import CONFIGS, SAMPLERS, find_name, model_named, network_kind, sampler_named


@pytest.mark.parametrize(
    ("spelling", "key"),
    [
        ("ddim", "ddim"),
        ("k_euler_ancestral", "k_euler_a"),
        ("Euler a", "k_euler_a"),
        ("dpm2s_a", "k_dpmpp_2s_a"),
        ("dpm++ 2m karras", "k_dpmpp_2m_ka"),
        (" K_HEUN ", "k_heun"),
    ],
)
def test_a_sampler_goes_by_its_keys_and_its_label(spelling: str, key: str) -> None:
    sampler = sampler_named(spelling)
    assert sampler is not None
    assert sampler.key == key


def test_no_name_means_two_samplers() -> None:
    names = [
        name.lower()
        for sampler in SAMPLERS
        for name in {sampler.key, sampler.label.lower(), *sampler.aliases}
    ]
    assert len(names) == len(set(names))


def test_an_unknown_sampler_is_none() -> None:
    assert sampler_named("k_nothing") is None


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("sd1.4", "sd14"),
        ("SD2.1V", "sd21v"),
        ("sd-v1-5-inpainting.ckpt", "sd15-inpainting"),
        ("512-inpainting-ema.safetensors", "sd2-inpainting"),
        ("instruct-pix2pix-00-22000.safetensors", "instruct-pix2pix"),
        ("v1-5-pruned-emaonly.safetensors", "sd15"),
        ("Default", "default"),
        ("my model.ckpt", "my model"),
        ("my.model", "my.model"),
    ],
)
def test_a_model_goes_by_every_documented_spelling(spelling: str, name: str) -> None:
    assert model_named(spelling) == name


def test_every_kind_of_configuration_has_a_model() -> None:
    kinds = {network_kind(name) for name in ("tiny", "sd14", "sd15", "sd21", "sd21v")}
    assert kinds == set(CONFIGS.values())


def test_a_text_of_a_million_accents_is_no_name() -> None:
    assert find_name("a" + "\u0301" * 500_000 + "\u0327" * 500_000, ("tiny", "sd15")) is None
    assert find_name("cafe\u0301", ("café",)) == "café"
