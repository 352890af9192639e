"""Small autoencoders (TAESD): in whatever file one comes, it decodes as diffusers' does."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from safetensors.torch import save_file
from torch import Tensor

from stable_diffusion.errors import UnreadableModel
from stable_diffusion.families.sd1 import SD1
from stable_diffusion.families.tiny import TINY
from stable_diffusion.load_model import load_model
from stable_diffusion.loader import Loader
from stable_diffusion.memory_plan import apply_memory_plan
from stable_diffusion.model import Model
from stable_diffusion.recipe import Recipe
from stable_diffusion.tiny import PATHS, SMALL_DECODER_PATH
from stable_diffusion.weights.fingerprint import Fingerprints
from stable_diffusion.weights.small_vae_files import read_small_autoencoder
from stable_diffusion.weights.weight_cache import WeightCache
from tests.stable_diffusion.layouts import random_networks, safetensors

CPU = torch.device("cpu")
LATENTS = torch.randn(4, 6, 8, generator=torch.Generator().manual_seed(0))
IMAGE = torch.rand(3, 32, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.fixture(scope="module")
def theirs() -> AutoencoderTiny:
    """diffusers', with the blocks of published ones."""
    torch.manual_seed(3)
    widths = (16,) * 4
    return AutoencoderTiny(
        encoder_block_out_channels=widths, decoder_block_out_channels=widths
    ).eval()


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    return safetensors(random_networks(TINY), TINY, folder, torch.float32)


@pytest.fixture(scope="module")
def plain(model_file: Path) -> Model:
    return load_model(model_file, name="model")


def numbered(vae: AutoencoderTiny, part: str) -> dict[str, Tensor]:
    """The names of its author: a decoder's first layer has no weights, and is counted."""
    found: dict[str, Tensor] = {}
    for name, tensor in vae.get_submodule(part).state_dict().items():
        _, number, rest = name.split(".", 2)
        found[f"{int(number) + (part == 'decoder')}.{rest}"] = tensor.contiguous()
    return found


def folder_of_diffusers(vae: AutoencoderTiny, stem: Path) -> Path:
    vae.save_pretrained(stem)
    return stem


def file_of_diffusers(vae: AutoencoderTiny, stem: Path) -> Path:
    path = stem.with_suffix(".safetensors")
    save_file({name: each.contiguous() for name, each in vae.state_dict().items()}, path)
    return path


def two_pickles(vae: AutoencoderTiny, stem: Path) -> Path:
    for part in ("encoder", "decoder"):
        torch.save(numbered(vae, part), stem.with_name(f"{stem.name}_{part}.pth"))
    return stem.with_name(f"{stem.name}_decoder.pth")


def one_file(vae: AutoencoderTiny, stem: Path) -> Path:
    path = stem.with_suffix(".safetensors")
    save_file(
        {
            f"{part}.{name}": tensor
            for part in ("encoder", "decoder")
            for name, tensor in numbered(vae, part).items()
        },
        path,
    )
    return path


def decoder_alone(vae: AutoencoderTiny, stem: Path) -> Path:
    path = stem.with_name(f"{stem.name}_decoder.safetensors")
    save_file(numbered(vae, "decoder"), path)
    return path


Write = Callable[[AutoencoderTiny, Path], Path]


@pytest.mark.parametrize(
    "write", [folder_of_diffusers, file_of_diffusers, two_pickles, one_file, decoder_alone]
)
def test_it_decodes_and_encodes_as_that_of_diffusers(
    tmp_path: Path, model_file: Path, plain: Model, theirs: AutoencoderTiny, write: Write
) -> None:
    path = write(theirs, tmp_path / "taesd-tiny")
    model = Loader("cpu", Fingerprints()).load("model", model_file, vae=path)
    assert model.vae == f"taesd-tiny{path.suffix}"
    with torch.inference_mode():
        decoded = theirs.decode(LATENTS[None]).sample[0]  # type: ignore[union-attr]
        encoded = theirs.encode(IMAGE[None]).latents[0]  # type: ignore[union-attr]
    if write is decoder_alone:
        encoded = plain.encode(IMAGE)
    torch.testing.assert_close(model.decode(LATENTS), decoded, atol=1e-4, rtol=0)
    torch.testing.assert_close(model.encode(IMAGE), encoded, atol=1e-4, rtol=0)


def test_the_shipped_one_fits_all_shipped_models() -> None:
    for path in PATHS:
        model = Loader("cpu", Fingerprints()).load(path.stem, path, vae=SMALL_DECODER_PATH)
        assert model.vae == "taesd-tiny.safetensors"


def test_beside_a_model_it_is_used_for_every_request(
    tmp_path: Path, plain: Model, theirs: AutoencoderTiny
) -> None:
    path = safetensors(random_networks(TINY), TINY, tmp_path, torch.float32)
    file_of_diffusers(theirs, tmp_path / "taesd").rename(tmp_path / "model.vae.safetensors")
    model = load_model(path, name="model")
    assert model.vae == "model.vae.safetensors"
    assert not torch.allclose(model.decode(LATENTS), plain.decode(LATENTS), atol=0.1)


def test_the_weight_cache_and_memory_plans_leave_its_pictures_as_they_are(
    tmp_path: Path, model_file: Path, theirs: AutoencoderTiny
) -> None:
    path = decoder_alone(theirs, tmp_path / "small")
    loader = Loader("cpu", Fingerprints(), WeightCache(tmp_path / "cache", 10**9, min_bytes=0))
    pictures: list[Tensor] = []
    for _ in ("written", "found"):
        model = loader.load("model", model_file, vae=path)
        assert model.mapped
        planned = apply_memory_plan(model, Recipe(prompt="", memory_plan="optimized"))
        pictures += [each.decode(LATENTS) for each in (model, planned)]
        assert torch.equal(model.encode(IMAGE), planned.encode(IMAGE))
    assert all(torch.equal(each, pictures[0]) for each in pictures)
    # of the autoencoder that the cache keeps it is the model's own
    assert not torch.equal(loader.load("model", model_file).decode(LATENTS), pictures[0])


def fails(path: Path, model: Model, message: str) -> None:
    with pytest.raises(UnreadableModel, match=message):
        read_small_autoencoder(path, model.family, model.networks.full_vae, CPU, torch.float32)


def test_what_cannot_be_used_is_refused_by_its_name(
    tmp_path: Path, plain: Model, theirs: AutoencoderTiny
) -> None:
    encoder = tmp_path / "small_encoder.safetensors"
    save_file(numbered(theirs, "encoder"), encoder)
    fails(encoder, plain, r"'small_encoder\.safetensors' has no decoder")
    deep = AutoencoderTiny(latent_channels=16)
    fails(file_of_diffusers(deep, tmp_path / "flux"), plain, "have 16 channels, those of tiny have")
    tensors = numbered(theirs, "decoder")
    strange = tmp_path / "strange.safetensors"
    save_file(tensors | {"4.pool.0.weight": torch.zeros(1)}, strange)
    fails(strange, plain, r"it has 4\.pool\.0\.weight")
    save_file({n: t for n, t in tensors.items() if n != "3.conv.2.weight"}, strange)
    fails(strange, plain, r"layers\.2\.conv\.2\.weight is missing")
    save_file(tensors | {"1.weight": torch.zeros(4)}, strange)
    fails(strange, plain, "have 0 channels")
    save_file(tensors | {"1.bias": torch.tensor(1.0)}, strange)
    fails(strange, plain, "of another shape")
    save_file({n: t for n, t in tensors.items() if not n.startswith("1.")}, strange)
    fails(strange, plain, "have 0 channels")
    save_file({n: t for n, t in tensors.items() if n.startswith(("1.", "3."))}, strange)
    fails(strange, plain, "is missing")


def test_one_with_the_name_of_another_family_is_refused(
    tmp_path: Path, plain: Model, theirs: AutoencoderTiny
) -> None:
    path = decoder_alone(theirs, tmp_path / "TAESD-tiny")
    fails(path, replace(plain, family=SD1), "that for sd1 is called 'taesd'")
