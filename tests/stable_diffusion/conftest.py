"""The shipped model, loaded once, and CLIP's tokenizer as transformers has it."""

from functools import cache

import pytest
import torch
from transformers import CLIPTokenizer

from stable_diffusion.load_model import load_model
from stable_diffusion.model import Model
from stable_diffusion.prompt.tokenizer import vocabulary_and_merges
from stable_diffusion.tiny import PATH


@pytest.fixture(scope="session")
def tiny() -> Model:
    torch.set_num_threads(1)
    return load_model(PATH, name="tiny")


@pytest.fixture
def clip_tokenizer() -> CLIPTokenizer:
    """Made of the vocabulary that this repository's own tokenizer has."""
    return transformers_tokenizer()


@cache
def transformers_tokenizer(pad: str = "<|endoftext|>") -> CLIPTokenizer:
    """Shared, as reading the vocabulary takes half a second: add no tokens to it."""
    vocabulary, merges = vocabulary_and_merges()
    return CLIPTokenizer(
        vocab=vocabulary,
        merges=merges,  # pyright: ignore[reportArgumentType]
        pad_token=pad,
        model_max_length=77,
    )
