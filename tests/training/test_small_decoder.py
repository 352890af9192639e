"""The small decoder's training makes a file that models take; and the included one."""

from pathlib import Path

import numpy
import pytest
import torch

from stable_diffusion import tiny
from stable_diffusion.generate import generate
from stable_diffusion.loader import Loader
from stable_diffusion.recipe import Recipe
from stable_diffusion.weights.fingerprint import Fingerprints
from training.small_decoder import make_small_decoder, save_small_decoder

pytestmark = pytest.mark.heavy

CPU = torch.device("cpu")


def test_training_makes_a_file_that_models_take_and_resumes(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    path = tmp_path / "small.safetensors"
    first = make_small_decoder(tmp_path, 0.01, CPU, drawings=2)
    save_small_decoder(first, path)
    model = Loader("cpu", Fingerprints()).load("tiny", tiny.PATH, vae=path)
    latents = torch.randn(4, 4, 6)
    expected = first(latents[None])[0]
    torch.testing.assert_close(model.decode(latents), expected, atol=0.02, rtol=0.02)
    # all of its time is spent: it returns what was saved
    again = make_small_decoder(tmp_path, 0.01, CPU, drawings=2)
    assert all(map(torch.equal, first.parameters(), again.parameters()))


@pytest.mark.parametrize("path", [tiny.PATH, tiny.PATH_V2], ids=lambda path: path.stem)
def test_the_included_one_draws_what_the_full_decoder_draws(path: Path) -> None:
    recipe = Recipe(prompt="a red fish on a beach", width=192, height=192, steps=8, seed=5)
    loader = Loader("cpu", Fingerprints())
    pixels = [
        numpy.asarray(next(generate(model, recipe)).image, float)
        for model in (
            loader.load("model", path, vae=vae) for vae in (None, tiny.SMALL_DECODER_PATH)
        )
    ]
    error = numpy.square(pixels[0] - pixels[1]).mean()
    assert 20 * numpy.log10(255 / numpy.sqrt(error)) > 25


def test_the_included_one_is_small() -> None:
    assert tiny.SMALL_DECODER_PATH.stat().st_size <= 300_000
