"""`make train`: trains the tiny models from scratch, in phases; it can be stopped at any time.

Every phase saves its state in the work folder, so the same command resumes a killed training.
--minutes scales the time of each phase.
"""

import argparse
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel

from stable_diffusion import tiny
from stable_diffusion.families.tiny import TINY, TINY_INPAINT, TINY_V2, TINY_XL
from stable_diffusion.networks import Networks, moved
from stable_diffusion.prompt.tokenizer import ClipTokenizer
from stable_diffusion.weights.saving import save_checkpoint
from training.autoencoder import build_autoencoder, train_autoencoder, whiten
from training.denoiser import build_unet, train_stage
from training.denoiser_trainer import DenoiserTrainer
from training.few_steps import make_few_step_lora
from training.inpainting import masked_scenes
from training.latents import cached_scenes
from training.plan import (
    AUTOENCODER_SHARE,
    DISTILLATION,
    FAST_SHARE,
    INPAINT_SHARE,
    SCENES_MASKED,
    SEED,
    STAGES,
    STAGES_CONTINUED,
    STAGES_INPAINT,
    STAGES_V2,
    STAGES_XL,
    TEXT_SHARE_V2,
    TEXT_SHARE_XL,
    V2_SHARE,
    XL_SHARE,
)
from training.progress import save_state
from training.quick_eval import quick_eval
from training.setup import TrainingSetup, load_trainable
from training.teacher import Teacher
from training.text_distillation import copy_weights, distill_text_encoder
from training.text_encoder import build_text_encoder, warm_up_text_encoder
from training.tokens import CaptionTokens
from training.two_encoder_distillation import make_two_encoders
from training.two_encoders import encoders_of, padding_of


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
    tokens = CaptionTokens(ClipTokenizer(pad=setup.family.pad_token), padding_of(setup.family))
    make_text = make_text_encoder if len(setup.family.text_encoders) == 1 else make_two_encoders
    text, projection = make_text(setup, tokens)
    unet = make_unet(setup, projection)
    trainer = DenoiserTrainer(
        unet,
        text,
        tokens.known,
        setup.family.prediction,
        setup.device,
        teacher=make_teacher(setup) if projection is not None else None,
    )
    networks = Networks(
        {**encoders_of(trainer.average_text), "unet": trainer.average_unet, "vae": vae}
    )
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
        minutes * (1 - FAST_SHARE - V2_SHARE - INPAINT_SHARE - XL_SHARE),
        TINY,
        STAGES_CONTINUED if base else STAGES,
        base=base,
    )
    tiny_file = arguments.out / "tiny.safetensors"
    make_and_save(first, tiny_file)
    fast = TrainingSetup(
        work / "tiny-fast",
        device,
        minutes * FAST_SHARE,
        TINY,
        base=load_trainable(tiny_file, TINY, device),
    )
    make_few_step_lora(fast, DISTILLATION, arguments.out / "tiny-fast.safetensors")
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
    fourth = TrainingSetup(
        work / "tiny-xl",
        device,
        minutes * XL_SHARE,
        TINY_XL,
        STAGES_XL,
        TEXT_SHARE_XL,
        base=load_trainable(tiny_file, TINY, device),
        latents=work / "tiny",
    )
    make_and_save(fourth, arguments.out / "tiny-xl.safetensors")


if __name__ == "__main__":
    main()
