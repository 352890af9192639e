"""Conditioning: its methods act on all of its tensors alike."""

from dataclasses import replace

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

from stable_diffusion.conditioning import Conditioning
from stable_diffusion.networks import unet_prediction


def full(rows: int = 2, *, tokens: int = 77, seed: int = 0) -> Conditioning:
    """A conditioning with every field set."""
    generator = torch.Generator().manual_seed(seed)

    def numbers(*shape: int) -> Tensor:
        return torch.randn(rows, *shape, generator=generator)

    return Conditioning(numbers(tokens, 8), numbers(5), numbers(6), (numbers(3, 4, 4), numbers(2)))


def same(one: Conditioning, other: Conditioning) -> bool:
    return one.batch_key == other.batch_key and all(map(torch.equal, one.tensors, other.tensors))


def test_split_and_cat_are_inverse() -> None:
    whole = full(5)
    parts = whole.split(2)
    assert [part.rows for part in parts] == [2, 2, 1]
    assert same(Conditioning.cat(parts), whole)
    assert [part.rows for part in whole.split([1, 4])] == [1, 4]
    assert same(Conditioning.cat(whole.split([1, 4])), whole)


def test_expand_repeats_the_row_in_every_tensor() -> None:
    one = full(1)
    assert same(one.expand(3), Conditioning.cat([one, one, one]))


def test_interleave_alternates_the_rows_in_every_tensor() -> None:
    one, other = full(2, seed=1), full(2, seed=2)
    rows = one.interleave(other).split(1)
    expected = [one.split(1)[0], other.split(1)[0], one.split(1)[1], other.split(1)[1]]
    assert all(map(same, rows, expected))


def test_to_converts_embeddings_and_leaves_the_sizes_exact() -> None:
    sized = Conditioning(torch.ones(1, 77, 8), torch.ones(1, 5), torch.tensor([[1023.0]]))
    half = sized.to(torch.device("cpu"), torch.bfloat16)
    assert half.dtype == torch.bfloat16
    assert half.pooled is not None
    assert half.pooled.dtype == torch.bfloat16
    assert half.time_ids is not None
    assert half.time_ids.item() == 1023
    moved = full().to(torch.device("meta"))
    assert {tensor.device.type for tensor in moved.tensors} == {"meta"}


@pytest.mark.parametrize(
    "other",
    [
        full(1, tokens=154),
        Conditioning(full().context),
        Conditioning(full().context, pooled=full().pooled),
        Conditioning(full().context, time_ids=full().pooled),
        full().to(torch.device("cpu"), torch.float16),
    ],
)
def test_what_cannot_be_concatenated_has_another_batch_key(other: Conditioning) -> None:
    assert other.batch_key != full().batch_key


def test_the_batch_key_ignores_the_number_of_rows() -> None:
    assert full(1).batch_key == full(3).batch_key
    assert full(1, seed=1).batch_key == full(1, seed=2).batch_key
    pooled, sizes = Conditioning(torch.ones(1, 1, 1), torch.ones(1, 2)), torch.ones(1, 2)
    assert pooled.batch_key != Conditioning(torch.ones(1, 1, 1), time_ids=sizes).batch_key


def test_a_unet_is_given_pooled_embeddings_and_sizes() -> None:
    sizes = {"addition_embed_type": "text_time", "addition_time_embed_dim": 4}
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 8),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=8,
        attention_head_dim=4,
        norm_num_groups=4,
        projection_class_embeddings_input_dim=5 + 6 * 4,
        **sizes,
    ).eval()
    x, t, text = torch.zeros(2, 4, 8, 8), torch.ones(2), full(2)
    with torch.inference_mode():
        plain = unet_prediction(unet, x, t, text)
        for name in ("context", "pooled", "time_ids"):
            changed = replace(text, **{name: getattr(text, name) + 1})
            assert not unet_prediction(unet, x, t, changed).equal(plain), name
