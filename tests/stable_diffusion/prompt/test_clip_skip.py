"""clip_skip against transformers' hidden states, and against diffusers' own `clip_skip`."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from transformers import CLIPTokenizer

from stable_diffusion.errors import RecipeError
from stable_diffusion.families.tiny import TINY, TINY_V2
from stable_diffusion.model import Model
from stable_diffusion.networks import build_networks
from stable_diffusion.prompt.text_encoding_cache import TextEncodingCache
from stable_diffusion.recipe import Recipe
from tests.stable_diffusion.conftest import transformers_tokenizer

PROMPT = "a red circle on a blue background"


@pytest.fixture
def fresh(tiny: Model) -> Model:
    return replace(tiny, text_encodings=TextEncodingCache())


def context(model: Model, clip_skip: int) -> torch.Tensor:
    composition, _ = model.encode_prompts(PROMPT, "", (64, 64), clip_skip=clip_skip)
    ((_, conditioning),) = composition.at(0)
    return conditioning.context


@pytest.mark.parametrize("clip_skip", [1, 2, 3])
def test_it_counts_the_layers_from_the_last_one(fresh: Model, clip_skip: int) -> None:
    text = fresh.networks.text
    ids = torch.tensor([[49406, *fresh.tokenizer.encode(PROMPT), *[49407] * 69]])
    assert ids.shape == (1, 77)
    with torch.inference_mode():
        states = text(ids, output_hidden_states=True).hidden_states
        assert states is not None
        expected = text.final_layer_norm(states[-clip_skip])
    torch.testing.assert_close(fresh.encode_text(ids, clip_skip=clip_skip), expected)


@pytest.mark.parametrize("clip_skip", [1, 2, 3])
def test_it_is_one_more_than_diffusers_number(
    fresh: Model, clip_skip: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # where diffusers looks for the final norm; transformers has moved it
    monkeypatch.setitem(fresh.networks.text.__dict__, "text_model", fresh.networks.text)
    tokenizer: CLIPTokenizer = transformers_tokenizer()
    parts: dict[str, Any] = {
        "vae": fresh.networks.vae,
        "text_encoder": fresh.networks.text,
        "tokenizer": tokenizer,
        "unet": fresh.networks.unet,
        "scheduler": None,
        "safety_checker": None,
        "feature_extractor": None,
    }
    pipeline = StableDiffusionPipeline(**parts, requires_safety_checker=False)
    with torch.inference_mode():
        theirs, _ = pipeline.encode_prompt(
            PROMPT, "cpu", 1, False, clip_skip=None if clip_skip == 1 else clip_skip - 1
        )
    torch.testing.assert_close(context(fresh, clip_skip), theirs)


def test_the_encodings_of_two_layers_are_not_mixed_up(fresh: Model) -> None:
    last, before, again = (context(fresh, clip_skip) for clip_skip in (1, 2, 1))
    assert not last.equal(before)
    assert last.equal(again)


def test_a_family_has_as_many_layers_as_its_encoder_and_one_that_stops_early_has_one() -> None:
    assert [TINY.clip_skip(wanted) for wanted in (1, 3, 4, 12)] == [1, 3, 3, 3]
    assert [TINY_V2.clip_skip(wanted) for wanted in (1, 2, 12)] == [1, 1, 1]
    layers = build_networks(TINY).text.config.num_hidden_layers
    assert TINY.clip_skip(12) == layers


@pytest.mark.parametrize("clip_skip", [0, 13, -1])
def test_other_numbers_are_refused(clip_skip: int) -> None:
    with pytest.raises(RecipeError, match=f"clip_skip is {clip_skip}; it must be 1 to 12"):
        Recipe(prompt=PROMPT, clip_skip=clip_skip)
