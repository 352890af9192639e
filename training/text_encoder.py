"""Phase 2: the text encoder is trained to represent captions, before any picture is used.

If both start from random weights, the UNet finds no information in the encoding and learns to
ignore it. A minute of predicting scenes from their captions prevents that.
"""

import random
from collections.abc import Callable, Collection, Iterator
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from stable_diffusion.families.family import Family
from stable_diffusion.networks import text_states
from training.captions import caption
from training.progress import Budget
from training.scenes import COLOURS, ICONS, SCENERY, SIDES, SIZES, Scene, random_scene
from training.tokens import LENGTH, CaptionTokens

BACKGROUNDS = (*COLOURS, *SCENERY)
# Restoring the mean after an emphasis needs a mean that is not near zero (see
# prompt.conditioning.apply_weights); a constant in the last layer norm gives it one.
ENCODING_MEAN = 0.25
RATE = 2e-3

Encoder = TypeVar("Encoder", bound=CLIPTextModel)


def build_text_encoder(
    family: Family, known: Collection[int], kind: type[Encoder] = CLIPTextModel, part: str = "text"
) -> Encoder:
    """A new CLIP text encoder whose unknown words have all-zero embeddings."""
    # plain attention: at 77 tokens of 12 values it is twice as fast as the fused kernels
    settings = {**family.part(part).config, "attn_implementation": "eager"}
    model = kind(CLIPTextConfig(**settings))
    with torch.no_grad():
        embedding = _embedding(model)
        rows = torch.randn(len(known), embedding.shape[1]) * 0.5
        embedding.zero_()
        embedding[sorted(known)] = rows
        for name, parameter in model.named_parameters():
            if name.endswith("position_embedding.weight"):
                nn.init.normal_(parameter, std=0.05)
            elif name.endswith("final_layer_norm.bias"):
                nn.init.constant_(parameter, ENCODING_MEAN)
    return model


def _embedding(model: CLIPTextModel) -> Tensor:
    return cast(nn.Embedding, model.get_input_embeddings()).weight


def _encoders_in(module: nn.Module) -> Iterator[CLIPTextModel]:
    """The encoder itself, or those of a module of several."""
    return (each for each in module.modules() if isinstance(each, CLIPTextModel))


def known_words_mask(model: nn.Module, known: Collection[int]) -> Tensor:
    """(vocabulary, 1): 1 for known tokens, 0 for others, on the device of its encoders."""
    weight = _embedding(next(_encoders_in(model)))
    mask = torch.zeros(len(weight), 1, device=weight.device)
    mask[sorted(known)] = 1
    return mask


def freeze_unknown_words(model: nn.Module, known: Tensor) -> None:
    """Zero the gradients of the embeddings of unknown words, so that these stay zero."""
    for encoder in _encoders_in(model):
        gradient = _embedding(encoder).grad
        if gradient is not None:
            gradient *= known


def _labels(scene: Scene) -> list[int]:
    """Class of each attribute: icon, colour, size and side of two objects, then the background."""
    row: list[int] = []
    for index in range(2):
        if index < len(scene.things):
            thing = scene.things[index]
            row += [ICONS.index(thing.icon), list(COLOURS).index(thing.colour)]
            row += [list(SIZES).index(thing.size), list(SIDES).index(thing.side)]
        else:
            row += [len(ICONS), len(COLOURS), len(SIZES), len(SIDES)]
    return [*row, BACKGROUNDS.index(scene.background)]


class _AttributeHeads(nn.Module):
    """Classifies the scene from the encoding.

    All attributes from a padding token, and an object's icon and colour also from its noun.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        per_thing = (len(ICONS) + 1, len(COLOURS) + 1, len(SIZES) + 1, len(SIDES) + 1)
        self.sizes = [*per_thing, *per_thing, len(BACKGROUNDS)]
        self.scene = nn.Linear(width, sum(self.sizes))
        self.noun = nn.Linear(width, len(ICONS) + len(COLOURS))

    def forward(self, hidden: Tensor, nouns: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Loss, and accuracy over all attributes."""
        rows = torch.arange(hidden.shape[0], device=hidden.device)
        pads = torch.randint(40, LENGTH, rows.shape, device=hidden.device)
        outputs = self.scene(hidden[rows, pads]).split(self.sizes, dim=1)
        loss = torch.stack([F.cross_entropy(o, labels[:, i]) for i, o in enumerate(outputs)]).mean()
        right = torch.stack([(o.argmax(1) == labels[:, i]) for i, o in enumerate(outputs)])
        for thing in range(2):
            named = nouns[:, thing] > 0
            scores = self.noun(hidden[rows[named], nouns[named, thing]])
            icons, colours = scores.split([len(ICONS), len(COLOURS)], dim=1)
            targets = labels[named]
            loss = loss + F.cross_entropy(icons, targets[:, 4 * thing]) / 2
            loss = loss + F.cross_entropy(colours, targets[:, 4 * thing + 1]) / 2
        return loss, right.float().mean()


def warm_up_text_encoder(
    model: CLIPTextModel, tokens: CaptionTokens, budget: Budget, device: torch.device, seed: int = 0
) -> None:
    """Train in place until the budget is spent."""
    rng = random.Random(seed)
    heads = _AttributeHeads(model.config.hidden_size).to(device)

    def loss() -> Tensor:
        scenes = [random_scene(rng) for _ in range(128)]
        batch = tokens.batch([caption(scene, rng) for scene in scenes], rng)
        labels = torch.tensor([_labels(scene) for scene in scenes], device=device)
        hidden = text_states(model, batch.ids.to(device))
        error, accuracy = heads(hidden, batch.nouns.to(device), labels)
        budget.record(loss=error.item(), attributes=accuracy.item())
        return error

    train_text_encoder(model, heads, tokens, budget, loss)


def train_text_encoder(
    model: nn.Module,
    head: nn.Module,
    tokens: CaptionTokens,
    budget: Budget,
    loss: Callable[[], Tensor],
    rate: float = RATE,
) -> None:
    """Minimise a loss until the budget is spent; embeddings of unknown words stay zero.

    Args:
        model: a text encoder, or several; is trained in place.
        head: the module on its states; is trained with it.
        loss: computes the loss of a new batch.
    """
    known = known_words_mask(model, tokens.known)
    parameters = [*model.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.99), weight_decay=0.0)
    model.train()
    for _ in budget.steps():
        for group in optimizer.param_groups:
            group["lr"] = budget.learning_rate(rate)
        optimizer.zero_grad()
        loss().backward()
        freeze_unknown_words(model, known)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
