"""`optimized` gives the pictures of `standard` with fewer weights resident."""

import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from stable_diffusion import memory_plan
from stable_diffusion.families.tiny import TINY
from stable_diffusion.generate import generate
from stable_diffusion.loader import Loader
from stable_diffusion.memory_plan import OffloadedModule, apply_memory_plan
from stable_diffusion.model import Model
from stable_diffusion.networks import parts_of, text_states
from stable_diffusion.recipe import Recipe
from stable_diffusion.shared_weights import clone_sharing_weights
from stable_diffusion.step_batching import StepBatcher
from stable_diffusion.tiny import PATH
from stable_diffusion.weights.fingerprint import Fingerprints
from stable_diffusion.weights.reading import read_weights
from stable_diffusion.weights.state_dict_loading import empty_networks
from stable_diffusion.weights.weight_cache import WeightCache
from tests.stable_diffusion.offload.late_copy_stream import LateCopyStream

pytestmark = pytest.mark.heavy

STANDARD = Recipe(prompt="a red circle on a blue background", width=64, height=64, steps=2, seed=9)
OPTIMIZED = replace(STANDARD, memory_plan="optimized")
TURBO = replace(OPTIMIZED, turbo=True)


@pytest.fixture(scope="module")
def loader(tmp_path_factory: pytest.TempPathFactory) -> Loader:
    """With the tiny model in its weight cache."""
    folder = tmp_path_factory.mktemp("weights")
    copies = WeightCache(folder / "copies", 2**30, min_bytes=0)
    loader = Loader("cpu", Fingerprints(folder / "fingerprints.json"), copies)
    loader.load("tiny", PATH)
    return loader


@pytest.fixture
def mapped(loader: Loader) -> Model:
    """The tiny model from its file in the weight cache, none of it resident yet."""
    return loader.load("tiny", PATH)


def picture(model: Model, recipe: Recipe) -> bytes:
    return next(generate(model, recipe)).image.tobytes()


def resident_weights() -> int:
    """The bytes of the weight cache that are resident in this process."""
    held, copy = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split()[0]:
            copy = "/copies/" in line
        elif copy and line.startswith("Rss:"):
            held += int(line.split()[1]) * 1024
    return held


@pytest.mark.parametrize("recipe", [OPTIMIZED, TURBO], ids=["optimized", "turbo"])
def test_it_gives_the_same_picture(tiny: Model, mapped: Model, recipe: Recipe) -> None:
    for model in (tiny, mapped):
        assert picture(model, recipe) == picture(model, STANDARD)
        assert picture(model, recipe) == picture(model, STANDARD)  # nothing was wiped
    init = {"inputs": {"init": Image.new("RGB", (64, 64), "red")}, "strength": 0.7}
    assert picture(mapped, replace(recipe, **init)) == picture(mapped, replace(STANDARD, **init))


def test_only_the_layer_that_computes_is_resident(mapped: Model) -> None:
    held: list[int] = []
    list(generate(mapped, OPTIMIZED, lambda _: held.append(resident_weights())))
    # the rest are ends of weights that share a page with another weight
    assert max(held) < mapped.nbytes / 4


def test_with_turbo_the_network_that_computes_is_resident(mapped: Model) -> None:
    unet = sum(weight.nbytes for weight in mapped.networks.unet.parameters())
    held: list[int] = []
    pictures = list(generate(mapped, TURBO, lambda _: held.append(resident_weights())))
    assert pictures
    assert 0.9 * unet < min(held)
    assert resident_weights() < mapped.nbytes / 4


def test_with_standard_the_whole_model_is_resident(mapped: Model) -> None:
    picture(mapped, STANDARD)
    unet = sum(weight.nbytes for weight in mapped.networks.unet.parameters())
    assert resident_weights() > unet


def test_a_cancelled_job_releases_its_weights(mapped: Model) -> None:
    def stop(_: object) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        list(generate(mapped, TURBO, stop))
    assert resident_weights() < mapped.nbytes / 4


def test_jobs_of_all_plans_share_one_model_at_once(mapped: Model) -> None:
    expected = picture(mapped, STANDARD)
    with ThreadPoolExecutor(3) as pool:
        pictures = pool.map(
            lambda recipe: picture(mapped, recipe), [STANDARD, OPTIMIZED, TURBO] * 3
        )
    assert set(pictures) == {expected}


def test_weights_that_are_in_no_file_are_not_released(mapped: Model) -> None:
    """Such as those that a LoRA has changed: their content would be lost."""
    name = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight"
    weight = mapped.networks.unet.get_parameter(name)
    changed = clone_sharing_weights(mapped.networks.unet, {name: weight.detach() * 2})
    model = replace(mapped, networks=mapped.networks.with_parts(unet=changed))
    expected = picture(model, STANDARD)
    assert expected != picture(mapped, STANDARD)
    assert (
        picture(model, OPTIMIZED) == picture(model, TURBO) == picture(model, STANDARD) == expected
    )


def test_an_optimized_job_is_not_batched(tiny: Model, mapped: Model) -> None:
    for model in (tiny, mapped):
        shared = replace(model, step_batcher=StepBatcher())
        assert apply_memory_plan(shared, STANDARD).step_batcher
        assert apply_memory_plan(shared, OPTIMIZED).step_batcher is None


def test_the_model_itself_is_unchanged(mapped: Model) -> None:
    before = list(mapped.networks.unet.parameters())
    for recipe in (OPTIMIZED, TURBO):
        planned = apply_memory_plan(mapped, recipe)
        assert planned.networks.unet is not mapped.networks.unet
        picture(mapped, recipe)
    assert all(a is b for a, b in zip(before, mapped.networks.unet.parameters(), strict=True))
    assert not any(module._forward_hooks for module in mapped.networks.unet.modules())


def test_an_offloaded_module_is_loaded_and_unloaded(tiny: Model) -> None:
    network = clone_sharing_weights(tiny.networks.text)
    in_main_memory = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    offloaded = OffloadedModule(network, torch.device("meta"))
    offloaded.load()
    assert all(tensor.is_meta for tensor in (*network.parameters(), *network.buffers()))
    loaded = list(network.parameters())
    offloaded.load()
    assert all(a is b for a, b in zip(loaded, network.parameters(), strict=True))
    offloaded.unload()
    back = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    assert all(back[name] is tensor for name, tensor in in_main_memory.items())


def test_full_precision_on_a_gpu_is_loaded_for_one_job(
    tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_plan, "CudaCopyStream", lambda _: LateCopyStream())
    # tensors of the device `meta` have no values, and none are needed here
    gpu = torch.device("meta")
    in_main_memory = replace(tiny, device=gpu)
    planned = apply_memory_plan(in_main_memory, replace(STANDARD, precision="full"))
    text_states(planned.networks.text, torch.zeros(1, 77, dtype=torch.long, device=gpu))
    weights = list(planned.networks.text.parameters())
    assert {(weight.device, weight.dtype) for weight in weights} == {(gpu, torch.float32)}
    assert not planned.tf32, "full precision is float32"
    assert {weight.device.type for weight in tiny.networks.text.parameters()} == {"cpu"}
    loaded = weakref.ref(weights[0])
    del planned, weights
    assert loaded() is None


def test_a_gpu_has_a_resident_unet_in_half_precision_only(tmp_path: Path) -> None:
    parts = dict(parts_of(empty_networks(TINY)))
    sizes = {name: size_of_weights(part) for name, part in parts.items()}
    loader = Loader("cuda:0", Fingerprints(tmp_path / "fingerprints.json"))
    assert loader.estimate_bytes(PATH) == sizes["text"] + sizes["vae"] + sizes["unet"] // 2
    assert loader.estimate_bytes(PATH, offloaded=True) == max(sizes.values())
    little = Loader("cuda:0", Fingerprints(None), max_unet_bytes=10**6)
    assert little.estimate_bytes(PATH, offloaded=True) == sizes["text"] + sizes["vae"] + 10**6
    cpu = torch.device("cpu")
    read = read_weights(PATH, cpu, torch.float32, unet_dtype=torch.float16).networks
    types = {name: {w.dtype for w in part.parameters()} for name, part in parts_of(read)}
    assert types == {"text": {torch.float32}, "unet": {torch.float16}, "vae": {torch.float32}}


def size_of_weights(module: torch.nn.Module) -> int:
    return sum(weight.nbytes for weight in module.parameters())


@pytest.mark.gpu
@pytest.mark.parametrize("turbo", [False, True])
def test_on_a_gpu_networks_are_loaded_when_they_are_called(tmp_path: Path, turbo: bool) -> None:
    loader = Loader("cuda:0", Fingerprints(tmp_path / "fingerprints.json"))
    in_main_memory = loader.load("tiny", PATH, offloaded=True)
    resident = loader.load("tiny", PATH)
    assert in_main_memory.networks.unet.device.type == "cpu"
    assert resident.networks.unet.dtype == torch.float16
    for precision in ("full", "autocast"):
        recipe = replace(OPTIMIZED, precision=precision, turbo=turbo)
        other = in_main_memory if precision == "full" else resident
        assert picture(in_main_memory, recipe) == picture(
            other, replace(STANDARD, precision=precision)
        )
        assert in_main_memory.networks.unet.device.type == "cpu"
