"""A small network that classifies the icon of a picture, trained on drawings only.

It is lenient (it accepts a blob with two ears as a cat), so the evaluation also checks pixels, and
prints the classifier's accuracy on drawings.
"""

import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from training.drawings import draw
from training.scenes import ICONS, random_scene

SIDE = 64


class IconClassifier(nn.Module):
    """Pictures (n, 3, 64, 64) in 0..1 → scores (n, 12)."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 32, 64, 96, 128)
        self.layers = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(), nn.MaxPool2d(2)
                )
                for a, b in pairwise(widths)
            )
        )
        self.head = nn.Linear(widths[-1], len(ICONS))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers(x).amax(dim=(2, 3)))

    @torch.inference_mode()
    def name(self, images: Sequence[Image.Image]) -> list[str]:
        """The icon of each picture."""
        self.eval()
        return [ICONS[i] for i in self(_batch(images)).argmax(1).tolist()]


def _batch(images: Sequence[Image.Image]) -> Tensor:
    small = [i.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX) for i in images]
    stacked = numpy.stack([numpy.asarray(image) for image in small])
    return torch.from_numpy(stacked).permute(0, 3, 1, 2).float() / 255


def _drawings(count: int, seed: int) -> tuple[Tensor, Tensor]:
    rng = random.Random(seed)
    scenes = [random_scene(rng, pairs=0.0) for _ in range(count)]
    images = [draw(scene, 128, 128, rng) for scene in scenes]
    return _batch(images), torch.tensor([ICONS.index(s.things[0].icon) for s in scenes])


def trained_classifier(cache: Path | None = None) -> tuple[IconClassifier, float]:
    """A classifier, and its accuracy on other drawings. Trains for a minute on two cores."""
    classifier = IconClassifier()
    if cache and cache.exists():
        classifier.load_state_dict(torch.load(cache, weights_only=True))
    else:
        torch.manual_seed(3)
        pictures, labels = _drawings(5000, seed=1)
        optimizer = torch.optim.AdamW(classifier.parameters(), lr=2e-3)
        classifier.train()
        for _ in range(6):
            for rows in torch.randperm(len(pictures)).split(64):
                batch = pictures[rows] + 0.04 * torch.randn(len(rows), 3, SIDE, SIDE)
                loss = F.cross_entropy(classifier(batch), labels[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        if cache:
            cache.parent.mkdir(parents=True, exist_ok=True)
            torch.save(classifier.state_dict(), cache)
    classifier.eval()
    pictures, labels = _drawings(600, seed=2)
    with torch.inference_mode():
        accuracy = (classifier(pictures).argmax(1) == labels).float().mean().item()
    return classifier, accuracy
