"""`make train`: makes the tiny models from nothing, phase by phase, and can be stopped at any time.

Every phase leaves a file in the work folder and is skipped when that file is whole, so the same
command goes on where it was killed. The minutes of each phase are scaled by --minutes.
"""

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel

from stable_diffusion import tiny
from stable_diffusion.families.family import Family
from stable_diffusion.families.tiny import TINY, TINY_V2
from stable_diffusion.networks import Networks, moved
from stable_diffusion.prompt.tokenizer import ClipTokenizer
from stable_diffusion.weights.checkpoint import open_checkpoint
from stable_diffusion.weights.saving import save_checkpoint
from stable_diffusion.weights.state_dict_loading import load_networks
from training.autoencoder import build_autoencoder, train_autoencoder, whiten
from training.denoiser import Lesson, Size, build_unet, teach
from training.glance import glance
from training.latents import cached_scenes
from training.plan import (
    AUTOENCODER_SHARE,
    LESSONS,
    LESSONS_MORE,
    LESSONS_V2,
    SCENES,
    SEED,
    TEXT_SHARE,
    TEXT_SHARE_V2,
    V2_SHARE,
)
from training.progress import Budget, keep, working_seconds
from training.student import Student
from training.teacher import Teacher
from training.text_encoder import build_text_encoder, warm_up_text_encoder
from training.tokens import CaptionTokens
from training.translation import learn_to_say_the_same, take_over


@dataclass
class Workshop:
    """The work folder, the device, the clock and the plan of one training."""

    folder: Path
    device: torch.device
    minutes: float
    family: Family
    lessons: Sequence[Lesson] = LESSONS
    text_share: float = TEXT_SHARE
    base: Networks | None = None  # what the networks start from, instead of from nothing
    latents: Path | None = None  # folder of the drawn scenes, if another model's
    scenes: Mapping[Size, tuple[int, int]] = field(default_factory=lambda: SCENES)
    drawings: int = 1600  # for the autoencoder

    def phase(self, name: str, share: float) -> tuple[Budget, Path, dict[str, Any]]:
        """The phase's budget with what is already spent, its state file, and its saved state."""
        path = self.folder / f"{name.replace(' ', '-')}.pt"
        state: dict[str, Any] = {}
        if path.exists():
            state = torch.load(path, map_location=self.device, weights_only=True)
        spent, clock = float(state.get("spent", 0.0)), working_seconds(self.device)
        budget = Budget(name, self.minutes * share, spent=spent, clock=clock)
        return budget, path, state


def make_autoencoder(shop: Workshop) -> AutoencoderKL:
    """Phase 1: trained and whitened; the base's, where there is one."""
    if shop.base:
        return shop.base.vae
    vae = moved(build_autoencoder(shop.family), shop.device)
    budget, path, state = shop.phase("autoencoder", AUTOENCODER_SHARE)
    if state:
        vae.load_state_dict(state["vae"])
    if not state.get("white"):
        train_autoencoder(vae, budget, shop.device, path, drawings=shop.drawings)
        whiten(vae, shop.device)
        keep(path, vae=vae.state_dict(), spent=budget.spent, white=True)
    return vae


def make_text_encoder(shop: Workshop, tokens: CaptionTokens) -> tuple[CLIPTextModel, Tensor | None]:
    """Phase 2: warmed up; the base's, where it is of the same kind, else one that says the same.

    Returns:
        The encoder, and what makes its states the base's, if they are not.
    """
    base = shop.base
    if base and base.text.config.hidden_size == shop.family.part("text").config["hidden_size"]:
        return base.text, None
    text = moved(build_text_encoder(shop.family, tokens.known), shop.device)
    budget, path, state = shop.phase("text encoder", shop.text_share)
    if state:
        text.load_state_dict(state["text"])
        return text, state["translation"]
    translation = None
    if base:
        base_tokens = CaptionTokens(ClipTokenizer())
        translation = learn_to_say_the_same(
            text, tokens, base.text, base_tokens, budget, shop.device
        )
    else:
        warm_up_text_encoder(text, tokens, budget, shop.device)
    keep(path, text=text.state_dict(), translation=translation, spent=budget.spent)
    return text, translation


def make_unet(shop: Workshop, translation: Tensor | None = None) -> UNet2DConditionModel:
    """A fresh UNet, or one that has taken over what the base's knows."""
    unet = moved(build_unet(shop.family), shop.device)
    if shop.base:
        take_over(unet, shop.base.unet, translation)
    return unet


def teacher_of(shop: Workshop) -> Teacher | None:
    """The base as the teacher of a model of another shape."""
    if shop.base is None:
        return None
    for module in (shop.base.unet, shop.base.text):
        module.requires_grad_(False).eval()
    return Teacher(shop.base.unet, shop.base.text, ClipTokenizer())


def make_model(shop: Workshop) -> Iterator[Networks]:
    """All phases; yields the networks after each of the UNet's lessons."""
    shop.folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    vae = make_autoencoder(shop)
    tokens = CaptionTokens(ClipTokenizer(pad=shop.family.pad_token))
    text, translation = make_text_encoder(shop, tokens)
    unet = make_unet(shop, translation)
    student = Student(
        unet,
        text,
        tokens.known,
        shop.family.prediction,
        shop.device,
        teacher=teacher_of(shop) if translation is not None else None,
    )
    networks = Networks({"text": student.average_text, "unet": student.average_unet, "vae": vae})
    for lesson in shop.lessons:
        budget, path, state = shop.phase(lesson.name, lesson.share)
        if state:
            student.load_state_dict(state["student"])
        if budget.fraction < 1:
            scenes = {
                size: cached_scenes(
                    shop.latents or shop.folder, vae, *shop.scenes[size], size, shop.device
                )
                for size in lesson.sizes
            }
            # a lesson that goes on must not repeat the batches it began with
            look = partial(glance, networks, shop.family)
            teach(student, lesson, budget, scenes, tokens, path, look, SEED + int(budget.spent))
        yield networks


def opened(path: Path, family: Family, device: torch.device) -> Networks:
    """The networks of a checkpoint, to go on learning."""
    networks = load_networks(open_checkpoint(path), family, device, torch.float32)
    for module in (networks.text, networks.unet, networks.vae):
        module.requires_grad_(True)
    moved(networks.unet, channels_last=True)
    moved(networks.vae, channels_last=True)
    return networks


def make_and_save(shop: Workshop, out: Path) -> None:
    """Train one model; its checkpoint is written anew after every lesson."""
    for networks in make_model(shop):
        save_checkpoint(networks, shop.family, out, shop.family.prediction)
        print(f"saved {out} ({out.stat().st_size / 1e6:.2f} MB)", flush=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--minutes",
        type=float,
        default=240,
        help="time for the whole training, on cores of its own",
    )
    parser.add_argument("--work", type=Path, default=Path(".training"), help="work folder")
    parser.add_argument("--out", type=Path, default=tiny.FOLDER, help="folder of the checkpoints")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--start-from", type=Path, help="a checkpoint of tiny, to be taught more")
    arguments = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    device, work, minutes = torch.device(arguments.device), arguments.work, arguments.minutes
    base = opened(arguments.start_from, TINY, device) if arguments.start_from else None
    first = Workshop(
        work / "tiny",
        device,
        minutes * (1 - V2_SHARE),
        TINY,
        LESSONS_MORE if base else LESSONS,
        base=base,
    )
    made = arguments.out / "tiny.safetensors"
    make_and_save(first, made)
    second = Workshop(
        work / "tiny-v2",
        device,
        minutes * V2_SHARE,
        TINY_V2,
        LESSONS_V2,
        TEXT_SHARE_V2,
        base=opened(made, TINY, device),
        latents=work / "tiny",
    )
    make_and_save(second, arguments.out / "tiny-v2.safetensors")


if __name__ == "__main__":
    main()
