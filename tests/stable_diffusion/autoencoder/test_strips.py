"""Large images go through the autoencoder in strips; nothing but rounding tells them apart."""

from copy import deepcopy
from dataclasses import replace
from typing import cast

import pytest
import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor, nn

from stable_diffusion.autoencoder import strips as autoencoder_strips
from stable_diffusion.autoencoder.strips import build_autoencoder
from stable_diffusion.families.tiny import TINY
from stable_diffusion.model import Model
from stable_diffusion.tiling import without_edges

GROUPED = {
    **TINY.part("vae").config,
    "layers_per_block": 2,
    "norm_num_groups": 4,
    "mid_block_add_attention": True,
}
"""The layers of the full-size autoencoder, with attention and groups of channels."""


def random_autoencoder(dtype: torch.dtype = torch.float32) -> AutoencoderKL:
    torch.manual_seed(2)
    plain = cast(nn.Module, build_autoencoder(GROUPED)).eval().requires_grad_(False).to(dtype)
    for name, weight in plain.named_parameters():
        if "norm" in name:  # a fresh one does nothing
            weight.add_(torch.randn_like(weight) * 0.2)
    vae = plain.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    assert isinstance(vae, AutoencoderKL)
    return vae


def both_ways(vae: AutoencoderKL, width: int, height: int, count: int = 1) -> tuple[Tensor, Tensor]:
    """Pictures of random latents, and the latents of pictures."""
    generator = torch.Generator().manual_seed(4)
    latents = torch.randn(count, 4, height // 8, width // 8, generator=generator).to(vae.dtype)
    with torch.inference_mode():
        picture = vae.decode(latents).sample  # type: ignore[union-attr, arg-type]
        image = torch.rand(count, 3, height, width, generator=generator) * 2 - 1
        mean = vae.encode(image.to(vae.dtype)).latent_dist.mean  # type: ignore[union-attr]
    return picture.float(), mean.float()


def in_strips(monkeypatch: pytest.MonkeyPatch, pixels: int) -> None:
    monkeypatch.setattr(autoencoder_strips, "WHOLE_PIXELS", 0)
    monkeypatch.setattr(autoencoder_strips, "WHOLE_PIXELS_FLOAT32", 0)
    monkeypatch.setattr(autoencoder_strips, "STRIP_PIXELS", pixels)


@pytest.mark.parametrize("seamless", [False, True])
@pytest.mark.parametrize("pixels", [256, 1000])
def test_a_picture_in_strips_is_the_whole_picture(
    monkeypatch: pytest.MonkeyPatch, pixels: int, seamless: bool
) -> None:
    vae = random_autoencoder()
    vae = without_edges(vae) if seamless else vae
    whole = both_ways(vae, 72, 88)
    in_strips(monkeypatch, pixels)
    for expected, strips in zip(whole, both_ways(vae, 72, 88), strict=True):
        torch.testing.assert_close(strips, expected, atol=2e-5, rtol=1e-4)


def test_strips_of_several_pictures_are_in_no_one_piece_of_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As those of one picture are on a GPU, where statistics need the other layout."""
    vae = random_autoencoder()
    whole = both_ways(vae, 40, 48, count=2)
    in_strips(monkeypatch, 256)
    for expected, strips in zip(whole, both_ways(vae, 40, 48, count=2), strict=True):
        torch.testing.assert_close(strips, expected, atol=2e-5, rtol=1e-4)


def test_in_half_precision_it_is_as_close_to_the_exact_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exact = both_ways(random_autoencoder(), 64, 64)
    half = random_autoencoder(torch.bfloat16)
    whole = both_ways(half, 64, 64)
    in_strips(monkeypatch, 256)
    for expected, one, other in zip(exact, whole, both_ways(half, 64, 64), strict=True):
        assert (other - expected).std() < 1.5 * (one - expected).std()


def test_a_shipped_model_decodes_in_strips_what_it_decodes_whole(
    monkeypatch: pytest.MonkeyPatch, tiny: Model
) -> None:
    latents = torch.randn(4, 20, 24, generator=torch.Generator().manual_seed(7))
    whole = tiny.decode(latents)
    in_strips(monkeypatch, 2048)
    error = (tiny.decode(latents) - whole).square().mean()
    assert 10 * torch.log10(4 / error) > 90


@pytest.mark.parametrize(
    ("dtype", "limit"),
    [(torch.float32, "WHOLE_PIXELS_FLOAT32"), (torch.bfloat16, "WHOLE_PIXELS")],
)
def test_small_pictures_are_not_cut(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, limit: str
) -> None:
    def cut(*_arguments: object, **_named: object) -> Tensor:
        raise AssertionError("it was cut")

    monkeypatch.setattr(autoencoder_strips, "by_strips", cut)
    in_strips(monkeypatch, 256)
    monkeypatch.setattr(autoencoder_strips, limit, 64 * 64)
    vae = random_autoencoder(dtype)
    both_ways(vae, 64, 64)
    with pytest.raises(AssertionError, match="it was cut"):
        both_ways(vae, 64, 72)


def test_a_strip_that_is_enlarged_has_the_pixels_of_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The largest layer of a picture is the one that doubles its sides."""
    in_strips(monkeypatch, 512)
    pixels: list[int] = []

    def enlarged(strip: Tensor) -> Tensor:
        pixels.append(4 * strip.shape[-1] * strip.shape[-2])
        return F.interpolate(strip, scale_factor=2.0)

    x = torch.randn(1, 2, 32, 16)
    doubled = autoencoder_strips.by_strips(enlarged, x, scale=2)
    torch.testing.assert_close(doubled, F.interpolate(x, scale_factor=2.0))
    beside = 2 * 4 * 16  # a row above and one below
    assert max(pixels) <= 512 + beside


def test_a_half_precision_autoencoder_that_overflows_computes_in_full(tiny: Model) -> None:
    latents = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(7))

    def loud(dtype: torch.dtype) -> Model:
        """Its first activations exceed the range of float16; a normalization follows."""
        vae = deepcopy(tiny.networks.full_vae)
        factor = 30_000 / vae.decoder.conv_in.weight.abs().max()
        vae.decoder.conv_in.weight.mul_(factor)
        cast(nn.Module, vae).to(dtype)
        return replace(tiny, networks=tiny.networks.with_parts(vae=vae))

    exact = loud(torch.float32).decode(latents)
    torch.testing.assert_close(loud(torch.float16).decode(latents), exact, atol=0.02, rtol=0.02)
