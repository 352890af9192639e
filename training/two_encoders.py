"""The two text encoders of a model of Stable Diffusion XL's kind, trained as one module."""

from collections.abc import Collection

import torch
from torch import Tensor, nn
from transformers import CLIPTextModel

from stable_diffusion.conditioning import Conditioning
from stable_diffusion.families.family import Family
from stable_diffusion.families.latent_diffusion import LATENTS
from stable_diffusion.families.parts.clip import CLIP_TOKENS
from stable_diffusion.projected_text import ProjectedTextEncoder, penultimate_states
from stable_diffusion.prompt.conditioning import apply_weights
from training.teacher import mixed, mixed_text_states
from training.text_encoder import build_text_encoder

ZEROS, POOLED_ALONE = 0.5, 0.15


class TwoEncoders(nn.Module):
    """Both encoders; their states stand side by side."""

    def __init__(self, text: CLIPTextModel, text_2: ProjectedTextEncoder) -> None:
        super().__init__()
        self.text = text
        self.text_2 = text_2

    def forward(self, ids: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """Token ids (n, 77) → the states of both, (n, 77, width) each, and the pooled texts."""
        states, pooled = self.text_2(ids)
        return (penultimate_states(self.text, ids), states), pooled


def build_two_encoders(family: Family, known: Collection[int]) -> TwoEncoders:
    """New encoders whose unknown words have all-zero embeddings."""
    second = build_text_encoder(family, known, ProjectedTextEncoder, "text_2")
    return TwoEncoders(build_text_encoder(family, known), second)


def encoders_of(text: nn.Module) -> dict[str, nn.Module]:
    """The encoder, or both, by the names of their parts."""
    return dict(text.named_children()) if isinstance(text, TwoEncoders) else {"text": text}


def padding_of(family: Family) -> frozenset[int]:
    """The tokens with which a family's text encoders pad."""
    return frozenset(part.config["pad_token_id"] for part in family.text_encoders.values())


def mixed_conditioning(
    text: nn.Module, latents: Tensor, ids: Tensor, weights: Tensor, own: Tensor
) -> Conditioning:
    """Conditioning of captions, each mixed with that of the previous caption in the batch.

    Of two encoders, with sizes. `ZEROS` of the empty captions are zeros, as an empty negative
    prompt may be; of others `POOLED_ALONE` have zeros for the states, so that the pooled text,
    which tells nothing that they do not, is read at all.

    Args:
        text: a CLIP text encoder, or both.
        latents: (n, 4, h, w), of the pictures.
        ids, weights: (n, 77).
        own: (n, 1, 1), the share of a picture's own caption, 0..1.
    """
    if not isinstance(text, TwoEncoders):
        assert isinstance(text, CLIPTextModel)
        return Conditioning(mixed_text_states(text, ids, weights, own))
    states, pooled = text(ids)
    hidden = torch.cat([apply_weights(each, weights) for each in states], -1)
    chance = torch.rand(len(ids), 1, device=ids.device)
    empty = ids[:, 1:2] == CLIP_TOKENS["eos_token_id"]
    pooled = pooled.where(~empty | (chance > ZEROS), 0)
    hidden = hidden.where((chance > torch.where(empty, ZEROS, POOLED_ALONE))[..., None], 0)
    return Conditioning(
        mixed(hidden, own),
        mixed(pooled, own[:, 0]),
        random_sizes(latents).to(hidden.device),
    )


def random_sizes(latents: Tensor) -> Tensor:
    """Sizes of pictures (n, 4, h, w) as Stable Diffusion XL takes them: (n, 6) float32, pixels.

    The original size, which is another one in half of the rows; the crop's corner; the size itself.
    """
    count, _, *shape = latents.shape
    target = torch.tensor(shape, dtype=torch.float32) * LATENTS.factor
    scale = 2 ** torch.randint(-1, 3, (count, 1)).float()
    original = torch.where(torch.rand(count, 1) < 0.5, target * scale, target)
    return torch.cat([original, torch.zeros(count, 2), target.expand(count, 2)], 1)
