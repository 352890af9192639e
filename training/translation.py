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
from training.text_encoder import known_words_mask, silence_unknown_words
from training.tokens import CaptionTokens

BATCH = 64
RATE = 2e-3


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
    known = known_words_mask(student, tokens.known)
    parameters = [*student.parameters(), *translation.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, betas=(0.9, 0.99), weight_decay=0.0)
    student.train()
    for _ in budget.steps():
        for group in optimizer.param_groups:
            group["lr"] = budget.learning_rate(RATE)
        captions = [caption(random_scene(rng), rng) for _ in range(BATCH)]
        words = rng.random()  # both meet the same unknown ones
        batch, other = (
            each.batch(captions, random.Random(words)).ids.to(device)
            for each in (tokens, teachers_tokens)
        )
        with torch.no_grad():
            said = text_states(teacher, other)
        loss = (translation(text_states(student, batch)) - said).square().mean()
        optimizer.zero_grad()
        loss.backward()
        silence_unknown_words(student, known)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        budget.note(loss=loss.item(), unlike=loss.item() / said.var().item())
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
