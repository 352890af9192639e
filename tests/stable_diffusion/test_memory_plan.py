"""`optimized` draws what `standard` draws, and holds of a model what it works with."""

import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from stable_diffusion.batching import Company
from stable_diffusion.generate import generate
from stable_diffusion.loader import Loader
from stable_diffusion.memory_plan import Guest, laid_out
from stable_diffusion.model import Model
from stable_diffusion.networks import parts_of, text_states
from stable_diffusion.recipe import Recipe
from stable_diffusion.sharing import twin
from stable_diffusion.tiny import PATH
from stable_diffusion.variants import TINY
from stable_diffusion.weights.copies import ReadyCopies
from stable_diffusion.weights.filling import empty_networks
from stable_diffusion.weights.fingerprint import Fingerprints
from stable_diffusion.weights.reading import read_weights

pytestmark = pytest.mark.heavy

STANDARD = Recipe(prompt="a red circle on a blue background", width=64, height=64, steps=3, seed=9)
OPTIMIZED = replace(STANDARD, memory_plan="optimized")
TURBO = replace(OPTIMIZED, turbo=True)


@pytest.fixture
def mapped(tmp_path: Path) -> Model:
    """The tiny model from its ready copy."""
    copies = ReadyCopies(tmp_path / "copies", 2**30, worth_it=0)
    loader = Loader("cpu", Fingerprints(tmp_path / "fingerprints.json"), copies)
    loader.load("tiny", PATH)
    loader.finish()
    return loader.load("tiny", PATH)


def drawn(model: Model, recipe: Recipe) -> bytes:
    return next(generate(model, recipe)).image.tobytes()


def resident_weights() -> int:
    """The bytes of ready copies that this process holds in memory."""
    held, copy = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split()[0]:
            copy = "/copies/" in line
        elif copy and line.startswith("Rss:"):
            held += int(line.split()[1]) * 1024
    return held


@pytest.mark.parametrize("recipe", [OPTIMIZED, TURBO], ids=["optimized", "turbo"])
def test_it_draws_the_same_picture(tiny: Model, mapped: Model, recipe: Recipe) -> None:
    for model in (tiny, mapped):
        assert drawn(model, recipe) == drawn(model, STANDARD)
        assert drawn(model, recipe) == drawn(model, STANDARD)  # nothing was wiped
    init = {"init_image": Image.new("RGB", (64, 64), "red"), "strength": 0.7}
    assert drawn(mapped, replace(recipe, **init)) == drawn(mapped, replace(STANDARD, **init))


def test_it_holds_only_the_layer_it_computes(mapped: Model) -> None:
    held: list[int] = []
    list(generate(mapped, OPTIMIZED, lambda _: held.append(resident_weights())))
    # what is left are the ends of weights that share their page with another
    assert max(held) < mapped.nbytes / 4


def test_turbo_holds_the_network_that_works(mapped: Model) -> None:
    unet = sum(weight.nbytes for weight in mapped.networks.unet.parameters())
    held: list[int] = []
    pictures = list(generate(mapped, TURBO, lambda _: held.append(resident_weights())))
    assert pictures
    assert 0.9 * unet < min(held)
    assert resident_weights() < mapped.nbytes / 4


def test_standard_holds_it_all(mapped: Model) -> None:
    drawn(mapped, STANDARD)
    unet = sum(weight.nbytes for weight in mapped.networks.unet.parameters())
    assert resident_weights() > unet


def test_a_job_that_is_stopped_gives_back_what_it_held(mapped: Model) -> None:
    def stop(_: object) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        list(generate(mapped, TURBO, stop))
    assert resident_weights() < mapped.nbytes / 4


def test_jobs_of_all_plans_share_one_model_at_once(mapped: Model) -> None:
    expected = drawn(mapped, STANDARD)
    with ThreadPoolExecutor(3) as pool:
        drawings = pool.map(lambda recipe: drawn(mapped, recipe), [STANDARD, OPTIMIZED, TURBO] * 3)
    assert set(drawings) == {expected}


def test_weights_that_no_file_has_are_never_given_back(mapped: Model) -> None:
    """As those that a LoRA has changed: their memory would be wiped."""
    name = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight"
    weight = mapped.networks.unet.get_parameter(name)
    changed = twin(mapped.networks.unet, {name: weight.detach() * 2})
    model = replace(mapped, networks=replace(mapped.networks, unet=changed))
    expected = drawn(model, STANDARD)
    assert expected != drawn(mapped, STANDARD)
    assert drawn(model, OPTIMIZED) == drawn(model, TURBO) == drawn(model, STANDARD) == expected


def test_an_optimized_job_draws_alone(tiny: Model, mapped: Model) -> None:
    for model in (tiny, mapped):
        shared = replace(model, company=Company())
        assert laid_out(shared, STANDARD).company
        assert laid_out(shared, OPTIMIZED).company is None


def test_the_model_itself_is_left_as_it_was(mapped: Model) -> None:
    before = list(mapped.networks.unet.parameters())
    for recipe in (OPTIMIZED, TURBO):
        planned = laid_out(mapped, recipe)
        assert planned.networks.unet is not mapped.networks.unet
        drawn(mapped, recipe)
    assert all(a is b for a, b in zip(before, mapped.networks.unet.parameters(), strict=True))
    assert not any(module._forward_hooks for module in mapped.networks.unet.modules())


def test_a_guest_comes_in_its_own_type_and_goes_without_a_trace(tiny: Model) -> None:
    network = twin(tiny.networks.text)
    resting = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    guest = Guest(network, torch.device("cpu"), torch.float16)
    guest.come()
    assert {weight.dtype for weight in network.parameters()} == {torch.float16}
    assert {buffer.dtype for buffer in network.buffers()} == {torch.int64}
    brought = list(network.parameters())
    guest.come()
    assert all(a is b for a, b in zip(brought, network.parameters(), strict=True))
    guest.go()
    back = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    assert all(back[name] is tensor for name, tensor in resting.items())


def test_full_precision_on_a_gpu_comes_for_one_job_and_stays_as_long(tiny: Model) -> None:
    # what a tensor of the device `meta` lacks is its numbers; nothing here looks at them
    gpu = torch.device("meta")
    resting = replace(tiny, device=gpu)
    planned = laid_out(resting, replace(STANDARD, precision="full"))
    text_states(planned.networks.text, torch.zeros(1, 77, dtype=torch.long, device=gpu))
    weights = list(planned.networks.text.parameters())
    assert {(weight.device, weight.dtype) for weight in weights} == {(gpu, torch.float32)}
    assert {weight.device.type for weight in tiny.networks.text.parameters()} == {"cpu"}
    brought = weakref.ref(weights[0])
    del planned, weights
    assert brought() is None


def test_a_gpu_has_a_unet_at_hand_in_half_precision_only(tmp_path: Path) -> None:
    parts = dict(parts_of(empty_networks(TINY)))
    sizes = {name: size_of_weights(part) for name, part in parts.items()}
    loader = Loader("cuda:0", Fingerprints(tmp_path / "fingerprints.json"))
    assert loader.weigh(PATH) == sizes["text"] + sizes["vae"] + sizes["unet"] // 2
    assert loader.weigh(PATH, on_call=True) == max(sizes.values())
    little = Loader("cuda:0", Fingerprints(None), most_on_call=10**6)
    assert little.weigh(PATH, on_call=True) == sizes["text"] + sizes["vae"] + 10**6
    cpu = torch.device("cpu")
    read = read_weights(PATH, cpu, torch.float32, unet=torch.float16).networks
    types = {name: {w.dtype for w in part.parameters()} for name, part in parts_of(read)}
    assert types == {"text": {torch.float32}, "unet": {torch.float16}, "vae": {torch.float32}}


def size_of_weights(module: torch.nn.Module) -> int:
    return sum(weight.nbytes for weight in module.parameters())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("turbo", [False, True])
def test_on_a_gpu_networks_come_when_they_are_called(tmp_path: Path, turbo: bool) -> None:
    loader = Loader("cuda:0", Fingerprints(tmp_path / "fingerprints.json"))
    resting = loader.load("tiny", PATH, on_call=True)
    at_hand = loader.load("tiny", PATH)
    assert resting.networks.unet.device.type == "cpu"
    assert at_hand.networks.unet.dtype == torch.float16
    for precision in ("full", "autocast"):
        recipe = replace(OPTIMIZED, precision=precision, turbo=turbo)
        other = resting if precision == "full" else at_hand
        assert drawn(resting, recipe) == drawn(other, replace(STANDARD, precision=precision))
        assert resting.networks.unet.device.type == "cpu"
