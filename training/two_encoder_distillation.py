"""Distils two text encoders from a trained one: together they give its states.

The second begins with its weights, see `text_slicing`; the first learns to tell what that misses.
Sources as for `text_distillation`.
"""

import random
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import CLIPTextModel

from stable_diffusion.networks import moved, text_states
from training.captions import caption
from training.plan import SEED
from training.progress import Budget, save_state
from training.scenes import random_scene
from training.setup import TrainingSetup
from training.text_encoder import train_text_encoder
from training.text_slicing import slice_text_encoder
from training.tokens import CaptionTokens
from training.two_encoders import TwoEncoders, build_two_encoders

BATCH = 64
RATE = 1e-3
SHORT, SHORT_SHARE = 40, 0.7
"""Most batches end there: what follows is padding, whose states differ little from the last."""
FEW = 0.1
"""How much the first encoder has at the start of what the projection makes."""


def make_two_encoders(setup: TrainingSetup, tokens: CaptionTokens) -> tuple[TwoEncoders, Tensor]:
    """Distil them from the base's; returns them and the projection of their states to its."""
    assert setup.base
    both = moved(build_two_encoders(setup.family, tokens.known), setup.device)
    budget, path, state = setup.phase("text encoders", setup.text_share)
    if state:
        both.load_state_dict(state["text"])
        return both, state["translation"]
    rng = random.Random(SEED)
    projection = begin_two_encoders(both, setup.base.text, tokens, rng)
    weight = distill_two_encoders(both, projection, setup.base.text, tokens, budget, rng)
    save_state(path, text=both.state_dict(), translation=weight, spent=budget.spent)
    return both, weight


def begin_two_encoders(
    student: TwoEncoders, teacher: CLIPTextModel, tokens: CaptionTokens, rng: random.Random
) -> nn.Linear:
    """Give the second encoder the teacher's weights.

    Returns:
        The projection of the states of both, side by side, to the teacher's; its weight is
        (teacher's width, width of both).
    """
    ids = _captions(tokens, 200, rng).to(next(student.parameters()).device)
    slice_text_encoder(student.text_2, teacher, ids)
    with torch.no_grad():
        rows = student.text_2.embeddings.token_embedding.weight
        rows[student.text_2.config.pad_token_id] = rows[teacher.config.pad_token_id]
        nn.init.orthogonal_(student.text_2.text_projection.weight)
        (first, second), _ = student(ids)
        wanted = text_states(teacher, ids)
        solution = torch.linalg.lstsq(second.flatten(0, 1), wanted.flatten(0, 1)).solution
        projection = nn.Linear(
            first.shape[-1] + second.shape[-1], wanted.shape[-1], bias=False, device=ids.device
        )
        projection.weight.normal_(std=FEW)
        projection.weight[:, first.shape[-1] :] = solution.T
    return projection


def distill_two_encoders(
    student: TwoEncoders,
    projection: nn.Linear,
    teacher: CLIPTextModel,
    tokens: CaptionTokens,
    budget: Budget,
    rng: random.Random,
) -> Tensor:
    """Train both and the projection in place until the budget is spent; returns its weight.

    The states of either have the mean of the teacher's, by which an emphasis is judged.
    """

    def loss() -> Tensor:
        ids = _captions(tokens, BATCH, rng).to(projection.weight.device)
        if rng.random() < SHORT_SHARE:
            ids = ids[:, :SHORT]
        with torch.no_grad():
            target = text_states(teacher, ids)
        states, _ = student(ids)
        error = (projection(torch.cat(states, -1)) - target).square().mean()
        budget.record(loss=error.item(), relative=error.item() / target.var().item())
        return error + _mean_error(states, target)

    train_text_encoder(student, projection, tokens, budget, loss, RATE)
    return projection.weight.detach()


def _mean_error(states: Sequence[Tensor], target: Tensor) -> Tensor:
    means = [each.mean((1, 2)) - target.mean((1, 2)) for each in states]
    return torch.stack(means).square().mean()


def _captions(tokens: CaptionTokens, count: int, rng: random.Random) -> Tensor:
    return tokens.batch([caption(random_scene(rng), rng) for _ in range(count)], rng).ids
