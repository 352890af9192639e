"""What of a file is used, what is counted as unused, and which file is refused."""

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from stable_diffusion.conditioning import Conditioning
from stable_diffusion.errors import LoraMismatch, UnreadableModel
from stable_diffusion.lora import Strength, lora_size, read_lora, with_loras
from stable_diffusion.lora.names import tensor_name
from stable_diffusion.model import Model
from stable_diffusion.networks import unet_prediction
from stable_diffusion.shared_weights import clone_sharing_weights
from tests.stable_diffusion.layouts import pipeline_of

PAGE = Path(__file__).parents[3] / "docs/models.md"
UNET = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
TEXT = "encoder.layers.1.self_attn.q_proj"


def kohya(layer: str, start: str = "lora_unet_") -> str:
    return start + layer.replace(".", "_")


def plain(model: Model, layer: str = UNET, start: str = "lora_unet_") -> dict[str, Tensor]:
    """A LoRA of one layer; a negative one may be subtracted."""
    network = model.networks.unet if "unet" in start else model.networks.text
    weight = network.get_parameter(f"{layer}.weight")
    torch.manual_seed(3)
    return {
        f"{kohya(layer, start)}.lora_up.weight": torch.randn(weight.shape[0], 4) / 4,
        f"{kohya(layer, start)}.lora_down.weight": torch.randn(4, weight.shape[1]) / 4,
    }


def applied(
    model: Model, tensors: dict[str, Tensor], path: Path, strength: Strength = 1.0
) -> Model:
    save_file(tensors, path)
    return with_loras(model, [(read_lora(path), strength)])


def test_tensors_without_a_place_are_counted(tiny: Model, tmp_path: Path) -> None:
    path = tmp_path / "ink.safetensors"
    fits = plain(tiny)
    alone = applied(tiny, fits, path)
    assert alone.warnings == ()
    others = {
        "logit_scale": torch.zeros(()),
        "lora_unet_nowhere.lora_up.weight": torch.zeros(4, 4),
        "lora_unet_nowhere.lora_down.weight": torch.zeros(4, 4),
        f"{kohya('conv_in')}.alpha": torch.ones(()),
        f"{kohya('conv_out')}.diff": torch.zeros(3),
    }
    made = applied(tiny, fits | others, path)
    assert made.warnings == (
        "LoRA ink: 5 of 7 tensors were not used: logit_scale, lora_unet_conv_in.alpha, "
        "lora_unet_conv_out.diff, ...",
    )
    weight = f"{UNET}.weight"
    assert torch.equal(
        made.networks.unet.get_parameter(weight), alone.networks.unet.get_parameter(weight)
    )


def test_a_cross_attention_of_another_width_is_another_kind_of_model(
    tiny: Model, tmp_path: Path
) -> None:
    layer = kohya(UNET.replace("attn1.to_q", "attn2.to_k"))
    wide = {
        f"{layer}.lora_up.weight": torch.zeros(64, 4),
        f"{layer}.lora_down.weight": torch.zeros(4, 1024),
    }
    with pytest.raises(LoraMismatch, match=r"'ink' does not fit the model 'tiny'.*1024"):
        applied(tiny, plain(tiny) | wide, tmp_path / "ink.safetensors")


def test_text_encoder_and_unet_have_their_own_strengths(tiny: Model, tmp_path: Path) -> None:
    tensors = plain(tiny) | plain(tiny, TEXT, "lora_te_text_model_")
    path = tmp_path / "ink.safetensors"

    def added(strength: Strength) -> list[Tensor]:
        networks = applied(tiny, tensors, path, strength).networks
        own = tiny.networks
        return [
            networks.text.get_parameter(f"{TEXT}.weight")
            - own.text.get_parameter(f"{TEXT}.weight"),
            networks.unet.get_parameter(f"{UNET}.weight")
            - own.unet.get_parameter(f"{UNET}.weight"),
        ]

    text, unet = added(1.0)
    for strength in ((0.25, 1.0), (1.0, -0.5), (0.0, 1.0)):
        for found, expected in zip(
            added(strength), (strength[0] * text, strength[1] * unet), strict=True
        ):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("layer", ["conv_norm_out", "mid_block.resnets.0.norm1"])
def test_norms_and_biases_are_targets(tiny: Model, tmp_path: Path, layer: str) -> None:
    unet = tiny.networks.unet
    size = len(unet.get_parameter(f"{layer}.weight"))
    tensors = {
        f"{kohya(layer)}.w_norm": torch.arange(size) / size,
        f"{kohya(layer)}.b_norm": torch.ones(size),
        f"{kohya('conv_in')}.diff_b": torch.ones(len(unet.get_parameter("conv_in.bias"))),
    }
    made = applied(tiny, tensors, tmp_path / "x.safetensors", 0.5)
    changed = made.networks.unet
    for name, added in (
        (f"{layer}.weight", torch.arange(size) / size / 2),
        (f"{layer}.bias", torch.full((size,), 0.5)),
        ("conv_in.bias", torch.full_like(unet.get_parameter("conv_in.bias"), 0.5)),
    ):
        torch.testing.assert_close(changed.get_parameter(name), unet.get_parameter(name) + added)
    assert made.warnings == ()
    assert made.nbytes == lora_size(tiny, [read_lora(tmp_path / "x.safetensors")])


def test_the_factors_of_a_norm_are_multiplied(tiny: Model, tmp_path: Path) -> None:
    layer = "mid_block.attentions.0.transformer_blocks.0.norm1"
    own = tiny.networks.unet.get_parameter(f"{layer}.weight")
    up, down = torch.arange(2.0 * len(own)).view(-1, 2) / 100, torch.tensor([[1.0], [-2.0]])
    tensors = {
        f"{kohya(layer)}.lora_up.weight": up,
        f"{kohya(layer)}.lora_down.weight": down,
    }
    made = applied(tiny, tensors, tmp_path / "x.safetensors")
    changed = made.networks.unet.get_parameter(f"{layer}.weight")
    torch.testing.assert_close(changed, own + (up @ down).flatten())


def test_factors_that_do_not_fit_together_are_no_crash(tiny: Model, tmp_path: Path) -> None:
    layer = kohya(UNET)
    for tensors in (
        {"lora_up.weight": torch.zeros(64, 3), "lora_down.weight": torch.zeros(4, 64)},
        {"lora_up.weight": torch.zeros(()), "lora_down.weight": torch.zeros(())},
        {"hada_w1_a": torch.zeros(1), "hada_w1_b": torch.zeros(1)}
        | {"hada_w2_a": torch.zeros(1), "hada_w2_b": torch.zeros(1)},
        {"oft_blocks": torch.zeros(5, 7, 7)},
        {"on_input": torch.zeros(3), "weight": torch.zeros(64)},
        {"lora_up.weight": torch.zeros(1 << 22, 1), "lora_down.weight": torch.zeros(1, 1 << 22)},
    ):
        with pytest.raises(LoraMismatch, match="does not fit"):
            applied(
                tiny,
                {f"{layer}.{name}": each for name, each in tensors.items()},
                tmp_path / "x.safetensors",
            )


def test_integers_are_not_taken_for_factors(tiny: Model, tmp_path: Path) -> None:
    size = tiny.networks.unet.get_parameter(f"{UNET}.weight").shape[0]
    tensors = {
        f"{kohya(UNET)}.lora_up.weight": torch.ones(size, 2),
        f"{kohya(UNET)}.lora_down.weight": torch.ones(2, size).char(),
        f"{kohya(UNET)}.alpha": torch.tensor(2),
    }
    with pytest.raises(LoraMismatch, match=r"has down as torch\.int8, and what its values mean"):
        applied(tiny, tensors, tmp_path / "x.safetensors")


def test_a_bias_of_peft_counts_as_its_weight_does(tiny: Model, tmp_path: Path) -> None:
    layer = UNET.replace("to_q", "to_out.0")
    bias = tiny.networks.unet.get_parameter(f"{layer}.bias")
    size = len(bias)
    tensors = {
        f"unet.{layer}.lora_A.weight": torch.zeros(4, size),
        f"unet.{layer}.lora_B.weight": torch.zeros(size, 4),
        f"unet.{layer}.lora_B.bias": torch.ones(size),
        f"unet.{layer}.alpha": torch.tensor(2.0),
    }
    made = applied(tiny, tensors, tmp_path / "x.safetensors")
    torch.testing.assert_close(made.networks.unet.get_parameter(f"{layer}.bias"), bias + 0.5)
    assert made.warnings == ()
    alone = {f"unet.{layer}.lora_B.bias": torch.ones(size)}
    with pytest.raises(LoraMismatch, match="a bias without the factors"):
        applied(tiny, alone, tmp_path / "x.safetensors")


def test_embeddings_in_the_file_come_with_it(tiny: Model, tmp_path: Path) -> None:
    vectors = torch.randn(2, 48)
    bundled = {
        "bundle_emb.shiny.v2.string_to_param.*": vectors,
        "bundle_emb.half.clip_g": torch.zeros(2, 1280),
        "bundle_emb.half.v2.clip_l": torch.zeros(2, 768),
    }
    made = applied(tiny, plain(tiny) | bundled, tmp_path / "ink.safetensors")
    assert set(made.embeddings) == {"shiny.v2"}
    assert torch.equal(made.embeddings["shiny.v2"], vectors)
    assert made.warnings == (
        "LoRA ink: 2 of 5 tensors were not used: bundle_emb.half.clip_g, bundle_emb.half.v2.clip_l",
    )
    with pytest.raises(UnreadableModel, match="no layers"):
        applied(tiny, bundled, tmp_path / "ink.safetensors")


METHODS = re.findall(r"^\| (?:[^|`]+) \| ((?:`\w+`[^|]*)+) \| (yes|no) \|$", PAGE.read_text(), re.M)


@pytest.mark.parametrize(("listed", "read"), METHODS)
def test_the_page_says_which_tensors_are_read(listed: str, read: str) -> None:
    for role in re.findall(r"`(\w+)`", listed):
        names = [tensor_name(f"lora_unet_x.{role}{end}") for end in ("", ".weight")]
        # any layer may have a tensor `weight`, which says nothing alone
        known = [name for name in names if name and (name.role != "weight" or role == "weight")]
        assert bool(known) == (read == "yes"), role


def test_the_page_lists_methods() -> None:
    assert {read for _, read in METHODS} == {"yes", "no"}
    assert len(METHODS) == 12


# each two of the three in all their combinations
@pytest.mark.parametrize(
    ("dora", "rslora", "whole"),
    [(False, False, False), (False, True, True), (True, False, True), (True, True, False)],
)
def test_it_is_what_diffusers_computes_with_the_file_it_saved(
    tiny: Model, tmp_path: Path, *, dora: bool, rslora: bool, whole: bool
) -> None:
    peft = pytest.importorskip("peft")
    pipeline = pipeline_of(tiny.networks.map(clone_sharing_weights), tiny.family)
    torch.manual_seed(4)
    config = peft.LoraConfig(
        r=4,
        lora_alpha=2,
        use_dora=dora,
        use_rslora=rslora,
        init_lora_weights=False,
        target_modules=["to_q", "to_k", "to_out.0", "conv1"],
        alpha_pattern={"attn2.to_k": 6},
        rank_pattern={"attn2.to_k": 2},
    )
    unet = pipeline.unet
    unet.add_adapter(config, adapter_name="ink")
    if whole:
        pipeline.save_lora_weights(
            tmp_path,
            unet_lora_layers=peft.get_peft_model_state_dict(unet, adapter_name="ink"),
            unet_lora_adapter_metadata=unet.peft_config["ink"].to_dict(),
        )
    else:
        unet.save_lora_adapter(tmp_path, adapter_name="ink")
    ours = with_loras(tiny, [(read_lora(next(tmp_path.glob("*.safetensors"))), 1.0)])
    assert ours.warnings == ()
    x, t = torch.randn(1, 4, 8, 8), torch.tensor([500])
    text = Conditioning(torch.randn(1, 77, 48))
    with torch.inference_mode():
        expected = unet_prediction(unet, x, t, text)
    torch.testing.assert_close(ours.predict(x, t, text), expected, rtol=1e-3, atol=1e-4)
    assert not torch.allclose(tiny.predict(x, t, text), expected, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("role", ["alpha", "scale", "scalar"])
def test_a_number_of_several_values_is_refused_by_its_name(
    tiny: Model, tmp_path: Path, role: str
) -> None:
    several = {f"{kohya(UNET)}.{role}": torch.ones(3)}
    with pytest.raises(UnreadableModel) as refused:
        applied(tiny, plain(tiny) | several, tmp_path / "ink.safetensors")
    assert str(refused.value) == (
        f"LoRA 'ink.safetensors' cannot be used: {kohya(UNET)}.{role} has 3 values, and a layer "
        f"has a single {role}"
    )
