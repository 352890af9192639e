"""The shipped model, loaded once, and CLIP's tokenizer as transformers has it."""

import json

import pytest
import torch
from transformers import CLIPTokenizer

from stable_diffusion.model import Model, load_model
from stable_diffusion.prompt.tokenizer import _byte_pairs
from stable_diffusion.tiny import PATH


@pytest.fixture(scope="session")
def tiny() -> Model:
    torch.set_num_threads(1)
    return load_model(PATH, name="tiny")


@pytest.fixture
def clip_tokenizer() -> CLIPTokenizer:
    """Made of the vocabulary that this repository's own tokenizer has."""
    return transformers_tokenizer()


def transformers_tokenizer(pad: str = "<|endoftext|>") -> CLIPTokenizer:
    merges = json.loads(_byte_pairs().to_str())["model"]["merges"]
    return CLIPTokenizer(
        vocab=_byte_pairs().get_vocab(),  # pyright: ignore[reportArgumentType]
        merges=[tuple(pair) for pair in merges],  # pyright: ignore[reportArgumentType]
        pad_token=pad,
        model_max_length=77,
    )
