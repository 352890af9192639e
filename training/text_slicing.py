"""Starts a narrower text encoder with the weights of a trained one.

Its stream of states is the trained one's in the basis of its principal components. One more layer
takes the place of the trained one's final norm, which an encoder whose penultimate states are used
does not have. Source: Ashkboos et al. 2024 (SliceGPT, arXiv:2401.15024).
"""

import math
from typing import cast

import torch
from torch import Tensor
from transformers import CLIPTextModel
from transformers.models.clip.modeling_clip import CLIPAttention, CLIPEncoderLayer

SHRINK = 8.0
"""The stream is so much smaller, so that the layer in place of the norm outweighs it."""


@torch.no_grad()
def slice_text_encoder(student: CLIPTextModel, source: CLIPTextModel, ids: Tensor) -> Tensor:
    """Overwrite the student's weights; its penultimate states become nearly the source's.

    Args:
        student: has as many heads and units as the source, and two layers more, the last of which
            keeps its weights.
        ids: (n, 77), captions whose states the basis is chosen for.

    Returns:
        (source's width, student's width): the projection of its states to the source's.
    """
    output = source(ids, output_hidden_states=True)
    streams = torch.stack(output.hidden_states)
    basis = _basis(streams, student.config.hidden_size)
    # a norm divides by the deviation of all values, and the student has fewer
    gain = math.sqrt(basis.shape[0] / basis.shape[1])
    for own, given in (
        (student.embeddings.token_embedding, source.embeddings.token_embedding),
        (student.embeddings.position_embedding, source.embeddings.position_embedding),
    ):
        own.weight.copy_(given.weight @ basis / SHRINK)
    layers, trained = _layers(student), _layers(source)
    for own, given in zip(layers, trained, strict=False):
        reading = gain * given.layer_norm1.weight[:, None] * basis
        _copy_attention(own.self_attn, given.self_attn, reading, given.layer_norm1.bias, basis)
        reading = gain * given.layer_norm2.weight[:, None] * basis
        own.mlp.fc1.weight.copy_(given.mlp.fc1.weight @ reading)
        own.mlp.fc1.bias.copy_(given.mlp.fc1(given.layer_norm2.bias))
        own.mlp.fc2.weight.copy_(basis.T @ given.mlp.fc2.weight / SHRINK)
        own.mlp.fc2.bias.copy_(basis.T @ given.mlp.fc2.bias / SHRINK)
    norm = source.final_layer_norm
    deviation = output.hidden_states[-1].std(-1).mean() / SHRINK
    wanted = basis.T @ (norm.weight[:, None] * basis) - deviation * torch.eye(basis.shape[1])
    _become_linear(layers[len(trained)], gain * wanted, basis.T @ norm.bias)
    return basis


def _layers(text: CLIPTextModel) -> list[CLIPEncoderLayer]:
    return [cast(CLIPEncoderLayer, layer) for layer in text.encoder.layers]


def _basis(streams: Tensor, width: int) -> Tensor:
    """(source's width, width), orthonormal; the mean of a state's values stays their mean."""
    states = streams.flatten(0, -2)
    count = states.shape[1]
    ones = torch.full((count, 1), count**-0.5)
    rest = states - states @ ones @ ones.T
    components = torch.linalg.svd(rest, full_matrices=False)[2][: width - 1].T
    basis = torch.cat([ones, components], 1)
    # a reflection that maps the mean of `width` values to the first component
    mirror = torch.full((width,), width**-0.5)
    mirror[0] -= 1
    mirror /= mirror.norm()
    return basis - 2 * (basis @ mirror)[:, None] * mirror


def _copy_attention(
    own: CLIPAttention, given: CLIPAttention, reading: Tensor, offset: Tensor, basis: Tensor
) -> None:
    """The best attention with narrower heads: of each head, products of two matrices."""
    heads = given.num_heads
    wide, narrow = given.head_dim, own.head_dim
    bias = given.out_proj.bias.clone()
    for head in range(heads):
        rows, place = (
            slice(wide * head, wide * (head + 1)),
            slice(narrow * head, narrow * (head + 1)),
        )
        query, key, value = (
            layer.weight[rows] @ reading for layer in (given.q_proj, given.k_proj, given.v_proj)
        )
        # a query's product with the keys' own bias is the same for all keys, and so has no effect
        asked = torch.cat([query, given.q_proj(offset)[rows, None]], 1)
        left, right = _factors(asked.T @ key * math.sqrt(narrow / wide), narrow)
        own.q_proj.weight[place] = left[:-1].T
        own.q_proj.bias[place] = left[-1]
        own.k_proj.weight[place] = right
        own.k_proj.bias[place] = 0
        out = given.out_proj.weight[:, rows]
        # the weights of a head sum to 1, so that a constant value is passed on as it is
        bias += out @ given.v_proj(offset)[rows]
        left, right = _factors(basis.T @ out @ value / SHRINK, narrow)
        own.out_proj.weight[:, place] = left
        own.v_proj.weight[place] = right
        own.v_proj.bias[place] = 0
    own.out_proj.bias.copy_(basis.T @ bias / SHRINK)


def _factors(product: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """(m, n) → (m, rank) and (rank, n), whose product is the nearest of that rank."""
    left, values, right = torch.linalg.svd(product, full_matrices=False)
    root = values[:rank].sqrt()
    return left[:, :rank] * root, root[:, None] * right[:rank]


def _become_linear(layer: CLIPEncoderLayer, matrix: Tensor, bias: Tensor) -> None:
    """Let a layer add `matrix` times its normalised states, and `bias`.

    Of both GELUs, gelu(x) - gelu(-x) = x.
    """
    width = len(matrix)
    layer.self_attn.out_proj.weight.zero_()
    layer.self_attn.out_proj.bias.zero_()
    one = torch.eye(width)
    layer.mlp.fc1.weight[: 2 * width] = torch.cat([one, -one])
    layer.mlp.fc1.bias.zero_()
    layer.mlp.fc2.weight.zero_()
    layer.mlp.fc2.weight[:, : 2 * width] = torch.cat([matrix, -matrix], 1)
    layer.mlp.fc2.bias.copy_(bias)
