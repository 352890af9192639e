"""The random LoRA of the benchmarks is one that a service takes as a whole."""

from pathlib import Path

from benchmarks.few_step_files import random_lora
from stable_diffusion import tiny
from stable_diffusion.families.tiny import TINY
from stable_diffusion.load_model import load_model
from stable_diffusion.lora import read_lora, with_loras
from worker.models.few_step import few_step


def test_it_changes_all_but_the_outermost_layers_of_a_unet(tmp_path: Path) -> None:
    model = load_model(tiny.PATH, name="tiny")
    file = random_lora(tmp_path / "lcm-lora-tiny.safetensors", TINY)
    changed = with_loras(model, [(read_lora(file), 1.0)])
    assert changed.warnings == model.warnings
    assert changed.nbytes > 0.9 * sum(each.nbytes for each in model.networks.unet.parameters())
    found = few_step("lora", (file.stem,))
    assert found
    assert (found.defaults.steps, found.defaults.sampler) == (4, "lcm")
