"""Distils a new text encoder from a trained one, so that the trained UNet can be reused.

A linear projection of its states is trained to match the teacher's states; the projection is then
folded into the UNet's cross-attention. Source: Romero et al. 2015 (FitNets), section 2.2.
"""

import random

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel

from stable_diffusion.networks import text_states
from training.captions import caption
from training.progress import Budget
from training.scenes import random_scene
from training.text_encoder import train_text_encoder
from training.tokens import CaptionTokens

BATCH = 64


def distill_text_encoder(
    student: CLIPTextModel,
    tokens: CaptionTokens,
    teacher: CLIPTextModel,
    teacher_tokens: CaptionTokens,
    budget: Budget,
    device: torch.device,
    seed: int = 0,
) -> Tensor:
    """Train the student in place until the budget is spent.

    Returns:
        (teacher's width, student's width): the projection of the student's states to the teacher's.
    """
    rng = random.Random(seed)
    widths = student.config.hidden_size, teacher.config.hidden_size
    projection = nn.Linear(*widths, bias=False, device=device)

    def loss() -> Tensor:
        captions = [caption(random_scene(rng), rng) for _ in range(BATCH)]
        word_seed = rng.random()  # the same unknown words for both
        batch, other = (
            each.batch(captions, random.Random(word_seed)).ids.to(device)
            for each in (tokens, teacher_tokens)
        )
        with torch.no_grad():
            target = text_states(teacher, other)
        error = (projection(text_states(student, batch)) - target).square().mean()
        budget.record(loss=error.item(), relative=error.item() / target.var().item())
        return error

    train_text_encoder(student, projection, tokens, budget, loss)
    return projection.weight.detach()


@torch.no_grad()
def copy_weights(
    unet: UNet2DConditionModel, source: UNet2DConditionModel, projection: Tensor | None
) -> None:
    """Copy the weights of a trained UNet where shapes match; project those of the cross-attention.

    The two may differ in what they predict: Stable Diffusion 2's v-prediction model was trained
    from its base in the same way. Channels and embeddings that only the new one takes begin with 0,
    so that it begins with the pictures of the old one.
    """
    weights = dict(source.named_parameters())
    for name, parameter in unet.named_parameters():
        weight = weights.get(name)
        if weight is None:
            if name.startswith("add_embedding.linear_2."):
                parameter.zero_()
            continue
        if projection is not None and name.endswith(("attn2.to_k.weight", "attn2.to_v.weight")):
            weight = weight @ projection
        if weight.numel() == parameter.numel():
            parameter.copy_(weight.reshape(parameter.shape))
        elif weight.shape[1] < parameter.shape[1]:
            parameter.zero_()
            parameter[:, : weight.shape[1]] = weight
