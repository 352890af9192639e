"""LoRA: the formula, the names files use, and that nobody else notices."""

import threading
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from stable_diffusion.conditioning import Conditioning
from stable_diffusion.errors import LoraMismatch, UnreadableModel
from stable_diffusion.generate import generate
from stable_diffusion.lora import lora_size, read_lora, with_loras
from stable_diffusion.model import Model
from stable_diffusion.networks import parts_of, text_states, unet_prediction
from stable_diffusion.recipe import Recipe
from stable_diffusion.shared_weights import clone_sharing_weights
from stable_diffusion.weights.mapped import MappedFiles
from tests.stable_diffusion.layouts import pipeline_of

ATTENTION = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
CONVOLUTION = "mid_block.resnets.0.conv1"
TEXT = "encoder.layers.1.self_attn.q_proj"
TEXT_OUT = "encoder.layers.1.self_attn.out_proj"
SMALL = Recipe(prompt="a red circle", width=64, height=64, steps=2, seed=9)


def halves(weight: Tensor, rank: int, seed: int) -> tuple[Tensor, Tensor]:
    """Random up and down for a weight, as kohya keeps them."""
    draw = torch.Generator().manual_seed(seed)
    rest = weight.shape[2:]
    up = torch.randn(weight.shape[0], rank, *[1] * len(rest), generator=draw) / 4
    return up, torch.randn(rank, *weight.shape[1:], generator=draw) / 4


@pytest.fixture
def kohya(tiny: Model, tmp_path: Path) -> Path:
    """A file with a linear layer, a convolution, and one of the text encoder; alpha half."""
    unet, text = tiny.networks.unet, tiny.networks.text
    layers = {
        f"lora_unet_{ATTENTION.replace('.', '_')}": unet.get_parameter(f"{ATTENTION}.weight"),
        f"lora_unet_{CONVOLUTION.replace('.', '_')}": unet.get_parameter(f"{CONVOLUTION}.weight"),
        f"lora_te_text_model_{TEXT.replace('.', '_')}": text.get_parameter(f"{TEXT}.weight"),
        f"lora_te_text_model_{TEXT_OUT.replace('.', '_')}": text.get_parameter(
            f"{TEXT_OUT}.weight"
        ),
    }
    tensors: dict[str, Tensor] = {}
    for seed, (name, weight) in enumerate(layers.items()):
        up, down = halves(weight, 4, seed)
        tensors |= {
            f"{name}.lora_up.weight": up,
            f"{name}.lora_down.weight": down,
            f"{name}.alpha": torch.tensor(2.0),
        }
    path = tmp_path / "ink.safetensors"
    save_file(tensors, path)
    return path


def weights(model: Model, names: Iterable[str]) -> list[Tensor]:
    parts = {"unet": model.networks.unet, "text": model.networks.text}
    found: list[Tensor] = []
    for name in names:
        part, _, own = name.partition(".")
        found.append(parts[part].get_parameter(f"{own}.weight").detach())
    return found


@pytest.mark.parametrize("values_at_once", [2**18, 200])
def test_alpha_over_rank_times_up_times_down_is_added(
    tiny: Model, kohya: Path, monkeypatch: pytest.MonkeyPatch, values_at_once: int
) -> None:
    monkeypatch.setattr("stable_diffusion.lora.merging._PIECE", values_at_once)
    names = (f"unet.{ATTENTION}", f"unet.{CONVOLUTION}", f"text.{TEXT}")
    before = [weight.clone() for weight in weights(tiny, names)]
    model = with_loras(tiny, [(read_lora(kohya), 0.8)])
    for seed, (old, new) in enumerate(zip(before, weights(model, names), strict=True)):
        up, down = halves(old, 4, seed)
        product = torch.einsum("or,r...->o...", up.flatten(1), down)
        torch.testing.assert_close(new, old + 0.8 * (2.0 / 4) * product)
        assert new.stride() == old.stride()
    assert all(map(torch.equal, before, weights(tiny, names)))


def test_it_shares_what_it_does_not_touch_and_weighs_the_rest(tiny: Model, kohya: Path) -> None:
    lora = read_lora(kohya)
    model = with_loras(tiny, [(lora, 1.0)])
    assert model.networks.unet.conv_in.weight is tiny.networks.unet.conv_in.weight
    assert model.networks.vae is tiny.networks.vae
    assert model.nbytes == lora_size(tiny, [lora])
    assert 0 < model.nbytes < tiny.nbytes / 10


def test_several_are_added_up_and_taking_away_undoes(tiny: Model, kohya: Path) -> None:
    lora = read_lora(kohya)
    names = (f"unet.{ATTENTION}",)
    once = weights(with_loras(tiny, [(lora, 0.5)]), names)[0]
    twice = weights(with_loras(tiny, [(lora, 0.25), (lora, 0.25)]), names)[0]
    torch.testing.assert_close(once, twice)
    undone = weights(with_loras(with_loras(tiny, [(lora, 0.5)]), [(lora, -0.5)]), names)[0]
    torch.testing.assert_close(undone, weights(tiny, names)[0])


@pytest.mark.parametrize("strengths", [(0.8,), (0.5, 0.3)])
def test_weights_in_a_file_are_the_same_and_their_pages_can_be_released(
    tiny: Model, kohya: Path, tmp_path: Path, strengths: tuple[float, ...]
) -> None:
    loras = [(read_lora(kohya), strength) for strength in strengths]
    in_memory = with_loras(tiny, loras)
    in_file = with_loras(tiny, loras, tmp_path / "cache", min_bytes=0)
    assert not list((tmp_path / "cache").iterdir()), "it has a name"
    files, mapped = MappedFiles(), 0
    for (_, module), (_, filed) in zip(
        parts_of(in_memory.networks), parts_of(in_file.networks), strict=True
    ):
        for own, other in zip(module.parameters(), filed.parameters(), strict=True):
            mapped += files.holds(other)
            files.release(other)
            assert (own.dtype, own.stride()) == (other.dtype, other.stride())
            assert own.equal(other)
    assert mapped > 0


def test_weights_stay_in_memory_where_the_folder_takes_no_file(tiny: Model, kohya: Path) -> None:
    model = with_loras(tiny, [(read_lora(kohya), 0.8)], kohya, min_bytes=0)
    expected = with_loras(tiny, [(read_lora(kohya), 0.8)])
    names = (f"unet.{ATTENTION}",)
    assert weights(model, names)[0].equal(weights(expected, names)[0])


def test_two_jobs_at_once_do_not_see_each_others_lora(tiny: Model, kohya: Path) -> None:
    inked = with_loras(tiny, [(read_lora(kohya), 1.0)])

    def draw(model: Model) -> bytes:
        return b"".join(picture.image.tobytes() for picture in generate(model, SMALL))

    alone = {"plain": draw(tiny), "inked": draw(inked)}
    assert alone["plain"] != alone["inked"]
    together: dict[str, list[bytes]] = {"plain": [], "inked": []}
    both = threading.Barrier(2)

    def job(name: str, model: Model) -> None:
        both.wait(240)
        together[name] += [draw(model) for _ in range(3)]

    threads = [
        threading.Thread(target=job, args=one) for one in (("plain", tiny), ("inked", inked))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == {name: [picture] * 3 for name, picture in alone.items()}


@pytest.mark.parametrize("spelling", ["peft", "diffusers", "original", "mid"])
def test_the_names_of_other_trainers_mean_the_same(
    tiny: Model, tmp_path: Path, spelling: str
) -> None:
    layer = CONVOLUTION if spelling in ("original", "mid") else ATTENTION
    weight = tiny.networks.unet.get_parameter(f"{layer}.weight").detach()
    up, down = halves(weight, 4, 7)
    product = torch.einsum("or,r...->o...", up.flatten(1), down)
    if spelling == "peft":
        names = (f"unet.{layer}.lora_B.weight", f"unet.{layer}.lora_A.weight")
        tensors = {names[0]: up, names[1]: down}
    elif spelling == "diffusers":
        owner, _, part = layer.rpartition(".")
        start = f"unet.{owner}.processor.{part}_lora"
        tensors = {f"{start}.up.weight": up, f"{start}.down.weight": down}
    elif spelling == "original":
        start = "lora_unet_middle_block_0_in_layers_2"
        tensors = {f"{start}.lora_up.weight": up, f"{start}.lora_down.weight": down}
    else:
        start = f"lora_unet_{layer.replace('.', '_')}"
        mid = torch.randn(4, 4, 3, 3)
        down = torch.randn(4, weight.shape[1], 1, 1)
        tensors = {
            f"{start}.lora_up.weight": up,
            f"{start}.lora_down.weight": down,
            f"{start}.lora_mid.weight": mid,
        }
        product = torch.einsum("or,rshw,si->oihw", up.flatten(1), mid, down.flatten(1))
    path = tmp_path / "other.safetensors"
    save_file(tensors, path)
    made = with_loras(tiny, [(read_lora(path), 1.0)])
    changed = made.networks.unet.get_parameter(f"{layer}.weight")
    torch.testing.assert_close(changed.detach(), weight + product)


def test_a_lora_of_another_kind_of_model_is_refused(tiny: Model, tmp_path: Path) -> None:
    start = f"lora_unet_{ATTENTION.replace('.', '_')}"
    wide = {
        f"{start}.lora_up.weight": torch.zeros(640, 4),
        f"{start}.lora_down.weight": torch.zeros(4, 768),
    }
    save_file(wide, tmp_path / "wide.safetensors")
    with pytest.raises(LoraMismatch, match=r"'wide' does not fit the model 'tiny'.*\(640, 768\)"):
        with_loras(tiny, [(read_lora(tmp_path / "wide.safetensors"), 1.0)])
    deep = {name.replace("blocks_1", "blocks_9"): tensor for name, tensor in wide.items()}
    save_file(deep, tmp_path / "deep.safetensors")
    with pytest.raises(LoraMismatch, match="has no layer"):
        with_loras(tiny, [(read_lora(tmp_path / "deep.safetensors"), 1.0)])


def test_a_file_without_a_complete_layer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.safetensors"
    for name in ("lora_unet_x.hada_w1_a", "lora_unet_x.lora_up.weight", "logit_scale"):
        save_file({name: torch.zeros(2, 2)}, path)
        with pytest.raises(
            UnreadableModel, match=f"holds no layers that can be read; it has {name}"
        ):
            read_lora(path)
    path.write_bytes(b"")
    with pytest.raises(UnreadableModel, match="odd"):
        read_lora(path)


def test_it_is_what_diffusers_makes_of_the_same_file(tiny: Model, kohya: Path) -> None:
    pytest.importorskip("peft")
    networks = tiny.networks.map(clone_sharing_weights)
    pipeline = pipeline_of(networks, tiny.family)
    pipeline.load_lora_weights(str(kohya), adapter_name="ink")
    pipeline.set_adapters(["ink"], [0.8])
    ours = with_loras(tiny, [(read_lora(kohya), 0.8)])
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    ids = torch.tensor([[49406, 736, 5471, 49407, *[49407] * 73]])
    t = torch.tensor([500])
    with torch.inference_mode():
        states = text_states(networks.text, ids)
        torch.testing.assert_close(ours.encode_text(ids), states, rtol=1e-3, atol=1e-4)
        text = Conditioning(states)
        expected = unet_prediction(pipeline.unet, x, t, text)
    torch.testing.assert_close(ours.predict(x, t, text), expected, rtol=1e-3, atol=1e-4)
    assert not torch.allclose(tiny.predict(x, t, text), expected, rtol=1e-2, atol=1e-3)
