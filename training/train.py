"""`make train`: trains the tiny models from scratch, in phases; it can be stopped at any time.

Every phase saves its state in the work folder, so the same command resumes a killed training.
--minutes scales the time of each phase.
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
from stable_diffusion.families.tiny import TINY, TINY_INPAINT, TINY_V2
from stable_diffusion.families.unet_inputs import INPAINTING
from stable_diffusion.networks import Networks, moved
from stable_diffusion.prompt.tokenizer import ClipTokenizer
from stable_diffusion.weights.checkpoint import open_checkpoint
from stable_diffusion.weights.saving import save_checkpoint
from stable_diffusion.weights.state_dict_loading import load_networks
from training.autoencoder import build_autoencoder, train_autoencoder, whiten
from training.denoiser import Size, Stage, build_unet, train_stage
from training.denoiser_trainer import DenoiserTrainer
from training.inpainting import masked_scenes
from training.latents import cached_scenes
from training.plan import (
    AUTOENCODER_SHARE,
    INPAINT_SHARE,
    SCENES,
    SCENES_MASKED,
    SEED,
    STAGES,
    STAGES_CONTINUED,
    STAGES_INPAINT,
    STAGES_V2,
    TEXT_SHARE,
    TEXT_SHARE_V2,
    V2_SHARE,
)
from training.progress import Budget, compute_clock, save_state
from training.quick_eval import quick_eval
from training.teacher import Teacher
from training.text_distillation import copy_weights, distill_text_encoder
from training.text_encoder import build_text_encoder, warm_up_text_encoder
from training.tokens import CaptionTokens


@dataclass
class TrainingSetup:
    """Folder, device, time and plan of the training of one model."""

    folder: Path
    device: torch.device
    minutes: float
    family: Family
    stages: Sequence[Stage] = STAGES
    text_share: float = TEXT_SHARE
    base: Networks | None = None  # a trained model to start from
    latents: Path | None = None  # folder of the encoded scenes, if not `folder`
    scenes: Mapping[Size, tuple[int, int]] = field(default_factory=lambda: SCENES)
    drawings: int = 1600  # number of pictures for the autoencoder

    @property
    def masked(self) -> bool:
        """Whether the model takes a mask."""
        return self.family.unet_inputs is INPAINTING

    def phase(self, name: str, share: float) -> tuple[Budget, Path, dict[str, Any]]:
        """The phase's budget, its state file, and its saved state, which is empty at the start."""
        path = self.folder / f"{name.replace(' ', '-')}.pt"
        state: dict[str, Any] = {}
        if path.exists():
            state = torch.load(path, map_location=self.device, weights_only=True)
        spent, clock = float(state.get("spent", 0.0)), compute_clock(self.device)
        budget = Budget(name, self.minutes * share, spent=spent, clock=clock)
        return budget, path, state


def make_autoencoder(setup: TrainingSetup) -> AutoencoderKL:
    """Phase 1: train and whiten it; with a base, use the base's."""
    if setup.base:
        return setup.base.full_vae
    vae = moved(build_autoencoder(setup.family), setup.device)
    budget, path, state = setup.phase("autoencoder", AUTOENCODER_SHARE)
    if state:
        vae.load_state_dict(state["vae"])
    if not state.get("white"):
        train_autoencoder(vae, budget, setup.device, path, drawings=setup.drawings)
        whiten(vae, setup.device, drawings=setup.drawings // 4)
        save_state(path, vae=vae.state_dict(), spent=budget.spent, white=True)
    return vae


def make_text_encoder(
    setup: TrainingSetup, tokens: CaptionTokens
) -> tuple[CLIPTextModel, Tensor | None]:
    """Phase 2: train it; with a base, use the base's if the width matches, otherwise distil it.

    Returns:
        The encoder, and after a distillation the projection of its states to the base's.
    """
    base = setup.base
    if base and base.text.config.hidden_size == setup.family.part("text").config["hidden_size"]:
        return base.text, None
    text = moved(build_text_encoder(setup.family, tokens.known), setup.device)
    budget, path, state = setup.phase("text encoder", setup.text_share)
    if state:
        text.load_state_dict(state["text"])
        return text, state["translation"]
    projection = None
    if base:
        base_tokens = CaptionTokens(ClipTokenizer())
        projection = distill_text_encoder(
            text, tokens, base.text, base_tokens, budget, setup.device
        )
    else:
        warm_up_text_encoder(text, tokens, budget, setup.device)
    save_state(path, text=text.state_dict(), translation=projection, spent=budget.spent)
    return text, projection


def make_unet(setup: TrainingSetup, projection: Tensor | None = None) -> UNet2DConditionModel:
    """A new UNet, with the weights of the base's if there is a base."""
    unet = moved(build_unet(setup.family), setup.device)
    if setup.base:
        copy_weights(unet, setup.base.unet, projection)
    return unet


def make_teacher(setup: TrainingSetup) -> Teacher | None:
    """The base as a teacher; None without a base."""
    if setup.base is None:
        return None
    for module in (setup.base.unet, setup.base.text):
        module.requires_grad_(False).eval()
    return Teacher(setup.base.unet, setup.base.text, ClipTokenizer())


def make_model(setup: TrainingSetup) -> Iterator[Networks]:
    """Run all phases; yields the networks after each stage of the UNet."""
    setup.folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    vae = make_autoencoder(setup)
    tokens = CaptionTokens(ClipTokenizer(pad=setup.family.pad_token))
    text, projection = make_text_encoder(setup, tokens)
    unet = make_unet(setup, projection)
    trainer = DenoiserTrainer(
        unet,
        text,
        tokens.known,
        setup.family.prediction,
        setup.device,
        teacher=make_teacher(setup) if projection is not None else None,
    )
    networks = Networks({"text": trainer.average_text, "unet": trainer.average_unet, "vae": vae})
    for stage in setup.stages:
        budget, path, state = setup.phase(stage.name, stage.share)
        if state:
            trainer.load_state_dict(state["student"])
        if budget.fraction < 1:
            encoded = masked_scenes if setup.masked else cached_scenes
            scenes = {
                size: encoded(
                    setup.latents or setup.folder, vae, *setup.scenes[size], size, setup.device
                )
                for size in stage.sizes
            }
            # a resumed stage must not repeat its first batches
            evaluate = partial(quick_eval, networks, setup.family)
            train_stage(
                trainer, stage, budget, scenes, tokens, path, evaluate, SEED + int(budget.spent)
            )
        yield networks


def load_trainable(path: Path, family: Family, device: torch.device) -> Networks:
    """The networks of a checkpoint in float32, with gradients."""
    networks = load_networks(open_checkpoint(path), family, device, torch.float32)
    for module in (networks.text, networks.unet, networks.vae):
        module.requires_grad_(True)
    moved(networks.unet, channels_last=True)
    moved(networks.vae, channels_last=True)
    return networks


def make_and_save(setup: TrainingSetup, out: Path) -> None:
    """Train one model; writes its checkpoint after every stage."""
    for networks in make_model(setup):
        save_checkpoint(networks, setup.family, out, setup.family.prediction)
        print(f"saved {out} ({out.stat().st_size / 1e6:.2f} MB)", flush=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--minutes",
        type=float,
        default=240,
        help="minutes for the whole training, on idle cores",
    )
    parser.add_argument("--work", type=Path, default=Path(".training"), help="work folder")
    parser.add_argument("--out", type=Path, default=tiny.FOLDER, help="folder of the checkpoints")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--start-from", type=Path, help="a checkpoint of tiny, to continue its training"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    device, work, minutes = torch.device(arguments.device), arguments.work, arguments.minutes
    base = load_trainable(arguments.start_from, TINY, device) if arguments.start_from else None
    first = TrainingSetup(
        work / "tiny",
        device,
        minutes * (1 - V2_SHARE - INPAINT_SHARE),
        TINY,
        STAGES_CONTINUED if base else STAGES,
        base=base,
    )
    tiny_file = arguments.out / "tiny.safetensors"
    make_and_save(first, tiny_file)
    second = TrainingSetup(
        work / "tiny-v2",
        device,
        minutes * V2_SHARE,
        TINY_V2,
        STAGES_V2,
        TEXT_SHARE_V2,
        base=load_trainable(tiny_file, TINY, device),
        latents=work / "tiny",
    )
    make_and_save(second, arguments.out / "tiny-v2.safetensors")
    third = TrainingSetup(
        work / "tiny-inpaint",
        device,
        minutes * INPAINT_SHARE,
        TINY_INPAINT,
        STAGES_INPAINT,
        base=load_trainable(tiny_file, TINY, device),
        scenes=SCENES_MASKED,
    )
    make_and_save(third, arguments.out / "tiny-inpaint.safetensors")


if __name__ == "__main__":
    main()
