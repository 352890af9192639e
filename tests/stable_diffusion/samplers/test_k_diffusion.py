import subprocess
import sys

import pytest
import torch

from stable_diffusion.samplers import k_diffusion

pytestmark = pytest.mark.heavy


def test_the_functions_are_those_of_the_installed_file():
    from importlib.util import find_spec
    from pathlib import Path

    spec = find_spec("k_diffusion")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    installed = Path(spec.submodule_search_locations[0]) / "sampling.py"
    assert Path(k_diffusion.sampling().sample_euler.__wrapped__.__code__.co_filename) == installed


def test_many_threads_load_it_once_and_nothing_of_its_training_code():
    code = """
import sys, threading
import stable_diffusion.samplers
assert not {"scipy", "torchsde", "torchdiffeq"} & set(sys.modules), "listing samplers is light"
from stable_diffusion.samplers import k_diffusion
found = []
threads = [threading.Thread(target=lambda: found.append(k_diffusion.sampling())) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert len(found) == 8 and len({id(module) for module in found}) == 1
foreign = {"k_diffusion", "clip", "wandb", "kornia", "torchvision", "cleanfid", "skimage"}
assert not foreign & set(sys.modules), foreign & set(sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_dimensions_are_appended():
    assert k_diffusion.append_dims(torch.ones(3), 4).shape == (3, 1, 1, 1)
