"""Models that are made of others in the cache share their weights."""

from pathlib import Path

import pytest
import torch

from stable_diffusion import half_precision
from stable_diffusion.prompt.grammar import read_prompt
from worker.execution.diffusion_engine import StableDiffusion
from worker.execution.engine import EngineProvider
from worker.models.catalogue import Catalogue
from worker.models.model_cache import ModelCache


def test_with_a_small_autoencoder_a_model_shares_all_other_weights(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path, "tiny")
    engine = StableDiffusion("cpu", 1, tmp_path / "upscalers", catalogue=catalogue)
    model_cache = ModelCache(catalogue, EngineProvider(lambda: engine))
    fast = read_prompt("<lora:tiny-fast>").loras

    with (
        model_cache.borrow("tiny", fast, vae="taesd-tiny") as small,
        model_cache.borrow("tiny", fast) as full,
        model_cache.borrow("tiny", vae="taesd-tiny") as plain_small,
        model_cache.borrow("tiny") as plain,
    ):
        assert small.vae == plain_small.vae == "taesd-tiny.safetensors"
        assert full.vae == plain.vae == ""
        assert small.networks.unet is full.networks.unet
        assert plain_small.networks.unet is plain.networks.unet
        assert small.networks.unet is not plain.networks.unet
        assert small.networks.vae.encoder is plain.networks.vae.encoder
        assert small.nbytes == plain_small.nbytes < full.nbytes < plain.nbytes
        assert model_cache.nbytes() == full.nbytes + plain.nbytes + 2 * small.nbytes


@pytest.mark.parametrize("faster", [False, True])
def test_full_precision_has_a_model_of_its_own_where_half_precision_is_faster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faster: bool
) -> None:
    monkeypatch.setattr(half_precision, "cpu_has_fast_bfloat16", lambda: faster)
    monkeypatch.setattr("stable_diffusion.families.family._SMALL_CHANNELS", 0)
    catalogue = Catalogue(tmp_path, "tiny")
    engine = StableDiffusion("cpu", 1, tmp_path / "upscalers", catalogue=catalogue)
    model_cache = ModelCache(catalogue, EngineProvider(lambda: engine))
    loras = read_prompt("<lora:tiny-fast>").loras

    with (
        model_cache.borrow("tiny", loras) as fast,
        model_cache.borrow("tiny", loras, full=True) as full,
    ):
        assert (fast.networks.unet is full.networks.unet) is not faster
        assert full.networks.unet.dtype == torch.float32
        assert fast.networks.unet.dtype == (torch.bfloat16 if faster else torch.float32)
        for name, weight in full.networks.unet.named_parameters():
            assert fast.networks.unet.get_parameter(name).equal(weight.to(fast.networks.unet.dtype))
        assert (full.nbytes > 0) is faster
