"""Requests whose pictures were recorded, to the byte, before the engine was rebuilt.

`python -m tests.stable_diffusion.recorded` writes the hashes anew. They hold for one build of
PyTorch on one kind of processor; elsewhere the last bits differ.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from stable_diffusion.embeddings import with_embeddings
from stable_diffusion.generate import generate
from stable_diffusion.lora import Delta, Lora, with_loras
from stable_diffusion.model import Model, load_model
from stable_diffusion.recipe import Recipe
from stable_diffusion.samplers import SAMPLERS
from stable_diffusion.tiny import PATH, PATH_V2

FILE = Path(__file__).with_name("recorded.json")
PLACE: dict[str, Any] = {"width": 64, "height": 64, "steps": 4, "seed": 7}


def processor() -> str:
    """What the last bits of a picture depend on."""
    return f"{torch.__version__}, {torch.backends.cpu.get_cpu_capability()}"


def requests() -> Iterator[tuple[str, Recipe]]:
    """Every sampler, both types, image to image, blends, batches and the rest, each by a name."""
    plain = Recipe(prompt="a red circle on a blue background", negative_prompt="green", **PLACE)
    init = Image.linear_gradient("L").resize((64, 64)).convert("RGB")
    for key in SAMPLERS:
        yield f"sampler {key}", replace(plain, sampler=key)
        yield f"img2img {key}", replace(plain, sampler=key, inputs={"init": init}, strength=0.6)
    yield "eta", replace(plain, eta=0.7)
    yield "no negative", replace(plain, negative_prompt="")
    yield "scale 1", replace(plain, guidance_scale=1.0)
    yield "scale 0", replace(plain, guidance_scale=0.0)
    yield "scale 12, Euler", replace(plain, guidance_scale=12.0, sampler="k_euler")
    yield "blend", replace(plain, prompt="red circle:0.25 blue square:0.75 star")
    yield "emphasis", replace(plain, prompt="a ((red)) [circle] on (blue:1.4)")
    yield "two chunks", replace(plain, prompt=", ".join(["a red circle"] * 30))
    yield "break", replace(plain, prompt="a red circle BREAK a blue square")
    yield "batches", replace(plain, iterations=2, batch_size=3)
    yield "fixed code", replace(plain, batch_size=2, fixed_code=True, sampler="k_euler_a")
    yield "optimized", replace(plain, memory_plan="optimized", unet_batch=1, batch_size=2)
    yield "optimized, turbo", replace(plain, memory_plan="optimized", turbo=True, unet_batch=4)
    yield "full", replace(plain, precision="full")
    yield (
        "noise multiplier",
        replace(plain, inputs={"init": init}, noise_multiplier=1.3, strength=1.0),
    )
    yield "tall", replace(plain, width=64, height=96)
    yield "deterministic", replace(plain, deterministic=True)


def models() -> Iterator[tuple[str, Model]]:
    """The shipped models, and one of them with a LoRA and with an embedding."""
    tiny = load_model(PATH, name="tiny")
    yield "tiny", tiny
    yield "tiny-v2", load_model(PATH_V2, name="tiny-v2")
    yield "tiny with a LoRA", with_loras(tiny, [(_lora(tiny), 0.8)])
    vectors = _noise(2, tiny.networks.text.config.hidden_size)
    yield "tiny with an embedding", with_embeddings(tiny, {"circle": vectors})


def hashes() -> dict[str, str]:
    """The SHA-256 of the pixels of every request's pictures, by model and request."""
    torch.set_num_threads(1)
    found: dict[str, str] = {}
    for model_name, model in models():
        for name, recipe in requests():
            if " with " in model_name and name not in ("sampler ddim", "sampler k_euler", "blend"):
                continue
            pixels = b"".join(picture.image.tobytes() for picture in generate(model, recipe))
            found[f"{model_name}: {name}"] = hashlib.sha256(pixels).hexdigest()[:16]
    return found


def recorded() -> dict[str, Any]:
    """The hashes as they were recorded, and on which processor."""
    return json.loads(FILE.read_text())


def _lora(model: Model) -> Lora:
    layers = {
        "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k": (
            model.networks.unet,
            "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight",
        ),
        "lora_te_encoder_layers_1_self_attn_q_proj": (
            model.networks.text,
            "encoder.layers.1.self_attn.q_proj.weight",
        ),
    }
    deltas: dict[str, Delta] = {}
    for layer, (network, name) in layers.items():
        out, into = network.get_parameter(name).shape
        deltas[layer] = Delta(_noise(out, 4), _noise(4, into), alpha=2.0)
    return Lora(Path("recorded.safetensors"), deltas)


def _noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))) / 4


if __name__ == "__main__":
    FILE.write_text(json.dumps({"processor": processor(), "hashes": hashes()}, indent=1) + "\n")
