"""A new text encoder learns to say what another says, so that a taught UNet need not learn anew.

Its states, through a linear map, come as near as they can to the other's; the map then goes into
the layers of the UNet that listen. Source: Romero et al. 2015 (FitNets), section 2.2.
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


def learn_to_say_the_same(
    student: CLIPTextModel,
    tokens: CaptionTokens,
    teacher: CLIPTextModel,
    teachers_tokens: CaptionTokens,
    budget: Budget,
    device: torch.device,
    seed: int = 0,
) -> Tensor:
    """Train the student in place until the budget is spent.

    Returns:
        (teacher's width, student's width): what makes the student's states the teacher's.
    """
    rng = random.Random(seed)
    widths = student.config.hidden_size, teacher.config.hidden_size
    translation = nn.Linear(*widths, bias=False, device=device)

    def loss() -> Tensor:
        captions = [caption(random_scene(rng), rng) for _ in range(BATCH)]
        words = rng.random()  # both meet the same unknown ones
        batch, other = (
            each.batch(captions, random.Random(words)).ids.to(device)
            for each in (tokens, teachers_tokens)
        )
        with torch.no_grad():
            said = text_states(teacher, other)
        apart = (translation(text_states(student, batch)) - said).square().mean()
        budget.note(loss=apart.item(), unlike=apart.item() / said.var().item())
        return apart

    train_text_encoder(student, translation, tokens, budget, loss)
    return translation.weight.detach()


@torch.no_grad()
def take_over(
    unet: UNet2DConditionModel, taught: UNet2DConditionModel, translation: Tensor | None
) -> None:
    """Give a UNet the weights of a taught one wherever they fit; those that listen, translated.

    What to predict may be another thing and is learned anew: Stable Diffusion 2's v-prediction
    model came from its base likewise.
    """
    given = dict(taught.named_parameters())
    for name, parameter in unet.named_parameters():
        weight = given[name]
        if translation is not None and name.endswith(("attn2.to_k.weight", "attn2.to_v.weight")):
            weight = weight @ translation
        if weight.numel() == parameter.numel():
            parameter.copy_(weight.reshape(parameter.shape))
