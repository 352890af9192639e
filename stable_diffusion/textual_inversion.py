"""Textual inversion embeddings: reading their files, and models that use them by name."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stable_diffusion.errors import ModelNotFound, UnreadableModel
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
    read without running code. Of a file for two text encoders the vectors are joined, those for
    CLIP ViT-L first.

    Raises:
        ModelNotFound: there is no such file.
        UnreadableModel: it is damaged, or contains something else; the message says what.
    """
    if not path.is_file():
        raise ModelNotFound(f"embedding {path.name!r} does not exist")
    content = _content(path)
    vectors = of_two_encoders(content)
    if vectors is None:
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
    """The width of the vectors that a model's text encoders take in place of tokens, together."""
    return sum(text_widths(model).values())


def columns_for(model: Model, encoders: Mapping[str, int], vectors: Tensor) -> Tensor:
    """Vectors for a model that has these text encoders, of which another has some only.

    Args:
        model: the other one.
        encoders: the width of each by its name.

    Returns:
        The columns for these; the vectors themselves if they or the encoders are others.
    """
    own = text_widths(model)
    if vectors.shape[1] != sum(encoders.values()) or not own.items() <= encoders.items():
        return vectors
    columns = dict(zip(encoders, vectors.split(list(encoders.values()), dim=1), strict=True))
    return torch.cat([columns[name] for name in own], dim=1)


def text_widths(model: Model) -> dict[str, int]:
    """The width of each of a model's text encoders, by name."""
    encoders = model.networks.text_encoders.items()
    return {name: int(text.config.hidden_size) for name, text in encoders}


def with_embeddings(model: Model, embeddings: Mapping[str, Tensor]) -> Model:
    """A model that uses embeddings by name; it shares all its weights with the first.

    Args:
        model: is not changed.
        embeddings: (n, `embedding_width(model)`) by name, for each text encoder its columns.
    """
    if not embeddings:
        return model
    encoders = model.networks.text_encoders
    widths = list(text_widths(model).values())
    columns = torch.cat(list(embeddings.values())).split(widths, dim=1)
    extended: dict[str, nn.Module] = {}
    for (name, encoder), further in zip(encoders.items(), columns, strict=True):
        text = clone_sharing_weights(encoder)
        own = text.embeddings.token_embedding
        text.embeddings.token_embedding = ExtendedEmbedding(own.weight, further)  # type: ignore[assignment]
        extended[name] = text
    counts = {name: len(vectors) for name, vectors in embeddings.items()}
    return replace(
        model,
        networks=model.networks.with_parts(**extended),
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


def of_two_encoders(content: Mapping[str, Any]) -> Tensor | None:
    """Vectors for two text encoders side by side, (n, width) float32; None: it has no such ones."""
    found = [content.get(name) for name in ("clip_l", "clip_g")]
    tensors = [vectors for vectors in found if isinstance(vectors, Tensor) and vectors.dim() == 2]
    if len(tensors) < 2 or len(tensors[0]) != len(tensors[1]):
        return None
    return torch.cat([vectors.float() for vectors in tensors], dim=1)


def _vectors(content: dict[str, Any]) -> Tensor | None:
    """The only tensor in a file; None if there are several or none."""
    kept = content.get("string_to_param", content)
    if isinstance(kept, nn.ParameterDict):
        kept = {str(name): value for name, value in kept.items()}
    if not isinstance(kept, dict):
        return None
    found = [value for value in kept.values() if isinstance(value, Tensor)]
    return found[0] if len(found) == 1 else None
