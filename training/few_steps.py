"""The phase of `make train` that makes `tiny-fast`: a LoRA with which tiny needs few steps."""

from functools import partial
from pathlib import Path

import torch

from stable_diffusion.prompt.tokenizer import ClipTokenizer
from training.consistency import RANK, STEPS, ConsistencyTrainer, Distillation, distil
from training.metrics import SCALE
from training.plan import SEED
from training.quick_eval import quick_eval
from training.setup import TrainingSetup
from training.tokens import CaptionTokens
from training.trajectories import cached_trajectories

FEW_STEPS = {"sampler": "lcm", "steps": STEPS, "guidance_scale": 1.0}
"""Fields of a recipe that the LoRA is made for."""
METADATA = {
    "format": "pt",
    "modelspec.sai_model_spec": "1.0.0",
    "modelspec.architecture": "stable-diffusion-v1/lora",
    "modelspec.implementation": "https://github.com/Stability-AI/generative-models",
    "modelspec.title": "tiny-fast (LCM-LoRA for tiny)",
    "modelspec.description": "Four steps of the sampler LCM, without guidance (scale 1).",
    "modelspec.usage_hint": "lcm, 4 steps, scale 1",
    "modelspec.tags": "lcm",
    "ss_output_name": "tiny-fast",
    "ss_network_module": "networks.lora",
    "ss_network_dim": str(RANK),
    "ss_network_alpha": str(RANK),
    "ss_network_args": f'{{"conv_dim": "{RANK}", "conv_alpha": "{RANK}"}}',
}


def make_few_step_lora(setup: TrainingSetup, plan: Distillation, out: Path) -> None:
    """Distil the base of the setup, which is changed in place; writes the LoRA."""
    base = setup.base
    assert base is not None
    setup.folder.mkdir(parents=True, exist_ok=True)
    for module in base.parts.values():
        module.requires_grad_(False).eval()
    budget, state_file, state = setup.phase("few steps", 1.0)
    tokens = CaptionTokens(ClipTokenizer(pad=setup.family.pad_token))
    paths = {
        size: cached_trajectories(setup.folder, base, tokens, each.count, each.seed, size, SCALE)
        for size, each in plan.sizes.items()
    }
    torch.manual_seed(SEED)
    trainer = ConsistencyTrainer(base.unet, setup.device)
    if state:
        trainer.load_state_dict(state["student"])
    evaluate = partial(quick_eval, base, setup.family, **FEW_STEPS)
    if budget.fraction < 1:
        # a resumed training must not repeat its first batches
        seed = SEED + int(budget.spent)
        distil(trainer, plan, paths, budget, state_file, evaluate, seed)
    with trainer.averaged():
        trainer.changes.save(out, METADATA)
    print(f"saved {out} ({out.stat().st_size / 1e6:.2f} MB)", flush=True)
