"""Textual inversion embeddings: reading their files, and models that use them by name."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stable_diffusion.errors import ForeignEmbedding, ModelNotFound, UnreadableModel
from stable_diffusion.model import Model
from stable_diffusion.prompt.chunks import CAPACITY
from stable_diffusion.prompt.embeddings import ExtendedEmbedding, ExtendedTokenizer
from stable_diffusion.prompt.text_encoding_cache import TextEncodingCache
from stable_diffusion.shared_weights import clone_sharing_weights
from stable_diffusion.weights.checkpoint import open_checkpoint
from stable_diffusion.weights.pickles import read_pickle


def read_embedding(path: Path) -> Tensor:
    """The vectors of an embedding's file, (n, width) float32.

    Reads AUTOMATIC1111's .pt and .safetensors and diffusers' files of a single token. Pickles are
    read without running code.

    Raises:
        ModelNotFound: there is no such file.
        ForeignEmbedding: it was made for Stable Diffusion XL.
        UnreadableModel: it is damaged, or contains something else; the message says what.
    """
    if not path.is_file():
        raise ModelNotFound(f"embedding {path.name!r} does not exist")
    content = _content(path)
    if {"clip_l", "clip_g"} <= content.keys():
        raise ForeignEmbedding(f"embedding {path.name!r} was made for Stable Diffusion XL")
    vectors = _vectors(content)
    if vectors is None or vectors.dim() not in (1, 2) or not vectors.is_floating_point():
        raise UnreadableModel(f"embedding {path.name!r} is not a textual inversion of one token")
    count = len(vectors) if vectors.dim() == 2 else 1
    if not 0 < count <= CAPACITY:  # before anything is allocated
        raise UnreadableModel(
            f"embedding {path.name!r} has {count} vectors; a prompt has room for {CAPACITY}"
        )
    return vectors.detach().float().reshape(count, -1)


def embedding_width(model: Model) -> int:
    """The width of the vectors that a model's text encoder takes in place of tokens."""
    return int(model.networks.text.config.hidden_size)


def with_embeddings(model: Model, embeddings: Mapping[str, Tensor]) -> Model:
    """A model that uses embeddings by name; it shares all its weights with the first.

    Args:
        model: is not changed.
        embeddings: (n, `embedding_width(model)`) by name, for the first text encoder.
    """
    if not embeddings:
        return model
    name, encoder = next(iter(model.networks.text_encoders.items()))
    text = clone_sharing_weights(encoder)
    own = text.embeddings.token_embedding
    further = torch.cat(list(embeddings.values()))
    text.embeddings.token_embedding = ExtendedEmbedding(own.weight, further)  # type: ignore[assignment]
    counts = {name: len(vectors) for name, vectors in embeddings.items()}
    return replace(
        model,
        networks=model.networks.with_parts(**{name: text}),
        tokenizer=ExtendedTokenizer(counts, pad=model.tokenizer.pad),
        text_encodings=TextEncodingCache(),
    )


def _content(path: Path) -> dict[str, Any]:
    if path.suffix.lower() == ".safetensors":
        checkpoint = open_checkpoint(path)
        return {name: checkpoint.read(name) for name in checkpoint.names}
    # the container of older files, which is a dictionary with safe contents
    content = read_pickle(path, {"torch.nn.modules.container.ParameterDict": nn.ParameterDict})
    return content if isinstance(content, dict) else {}


def _vectors(content: dict[str, Any]) -> Tensor | None:
    """The only tensor in a file; None if there are several or none."""
    kept = content.get("string_to_param", content)
    if isinstance(kept, nn.ParameterDict):
        kept = {str(name): value for name, value in kept.items()}
    if not isinstance(kept, dict):
        return None
    found = [value for value in kept.values() if isinstance(value, Tensor)]
    return found[0] if len(found) == 1 else None
