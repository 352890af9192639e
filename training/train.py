"""`make train`: makes a tiny model from nothing, phase by phase, and can be stopped at any time.

Every phase leaves a file in the work folder and is skipped when that file is whole, so the same
command goes on where it was killed. The minutes of each phase are scaled by --minutes.
"""

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from transformers import CLIPTextModel

from stable_diffusion.checkpoint import save_checkpoint
from stable_diffusion.networks import Networks, placed
from stable_diffusion.prompt.tokenizer import ClipTokenizer
from stable_diffusion.tiny import PATH as SHIPPED
from stable_diffusion.variants import TINY, Variant
from training.autoencoder import build_autoencoder, train_autoencoder, whiten
from training.denoiser import Lesson, Size, Student, build_unet, teach
from training.latents import cached_scenes
from training.progress import Budget, keep
from training.text_encoder import build_text_encoder, warm_up_text_encoder
from training.tokens import CaptionTokens

SEED = 12
# Shares of the whole time. One size at a time: taught three sizes at once, shapes stay blobs.
AUTOENCODER_SHARE = 0.08
TEXT_SHARE = 0.02
LESSONS = (
    Lesson("128 px", 0.08, 1.2e-3, {(128, 128): (1.0, 32)}),
    Lesson(
        "256 px",
        0.58,
        1e-3,
        {(256, 256): (0.94, 12), (128, 128): (0.06, 32)},
        simple_share=0.8,
    ),
    Lesson(
        "512 px",
        0.24,
        7e-4,
        {
            (512, 512): (0.66, 4),
            (256, 256): (0.26, 12),
            (384, 256): (0.04, 8),
            (256, 384): (0.04, 8),
        },
        simple_share=0.6,
    ),
)
# How many scenes are drawn of each size, and from which seed.
SCENES = {
    (128, 128): (4000, 11),
    (256, 256): (12000, 12),
    (384, 256): (600, 13),
    (512, 512): (1000, 14),
    (256, 384): (600, 15),
}


@dataclass
class Workshop:
    """The work folder, the device, the clock and the plan of one training."""

    folder: Path
    device: torch.device
    minutes: float
    variant: Variant
    lessons: Sequence[Lesson] = LESSONS
    scenes: Mapping[Size, tuple[int, int]] = field(default_factory=lambda: SCENES)
    drawings: int = 1600  # for the autoencoder

    def phase(self, name: str, share: float) -> tuple[Budget, Path, dict[str, Any]]:
        """The phase's budget with what is already spent, its state file, and its saved state."""
        path = self.folder / f"{name.replace(' ', '-')}.pt"
        state: dict[str, Any] = {}
        if path.exists():
            state = torch.load(path, map_location=self.device, weights_only=True)
        budget = Budget(name, self.minutes * share, spent=float(state.get("spent", 0.0)))
        return budget, path, state


def make_autoencoder(shop: Workshop) -> AutoencoderKL:
    """Phase 1: trained and whitened."""
    vae = placed(build_autoencoder(shop.variant), shop.device)
    budget, path, state = shop.phase("autoencoder", AUTOENCODER_SHARE)
    if state:
        vae.load_state_dict(state["vae"])
    if not state.get("white"):
        train_autoencoder(vae, budget, shop.device, path, drawings=shop.drawings)
        whiten(vae, shop.device)
        keep(path, vae=vae.state_dict(), spent=budget.spent, white=True)
    return vae


def make_text_encoder(shop: Workshop, tokens: CaptionTokens) -> CLIPTextModel:
    """Phase 2: warmed up."""
    text = placed(build_text_encoder(shop.variant, tokens.known), shop.device)
    budget, path, state = shop.phase("text encoder", TEXT_SHARE)
    if state:
        text.load_state_dict(state["text"])
    else:
        warm_up_text_encoder(text, tokens, budget, shop.device)
        keep(path, text=text.state_dict(), spent=budget.spent)
    return text


def make_model(shop: Workshop) -> Iterator[Networks]:
    """All phases; yields the networks after each of the UNet's lessons."""
    shop.folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    vae = make_autoencoder(shop)
    tokens = CaptionTokens(ClipTokenizer())
    text = make_text_encoder(shop, tokens)
    unet = placed(build_unet(shop.variant), shop.device)
    student = Student(unet, text, tokens.known, shop.variant.prediction, shop.device)
    for lesson in shop.lessons:
        budget, path, state = shop.phase(lesson.name, lesson.share)
        if state:
            student.load_state_dict(state["student"])
        if budget.fraction < 1:
            scenes = {
                size: cached_scenes(shop.folder, vae, *shop.scenes[size], size, shop.device)
                for size in lesson.sizes
            }
            # a lesson that goes on must not repeat the batches it began with
            teach(student, lesson, budget, scenes, tokens, path, SEED + int(budget.spent))
        yield Networks(student.average_text, student.average_unet, vae)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=120, help="time for the whole training")
    parser.add_argument("--work", type=Path, default=Path(".training"), help="work folder")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="where the checkpoint goes")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    shop = Workshop(arguments.work, torch.device(arguments.device), arguments.minutes, TINY)
    for networks in make_model(shop):
        save_checkpoint(networks, shop.variant, arguments.out)
        print(f"saved {arguments.out} ({arguments.out.stat().st_size / 1e6:.2f} MB)")


if __name__ == "__main__":
    main()
