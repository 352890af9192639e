"""Each method of LyCORIS against what LyCORIS itself makes of the same factors.

`lycoris.safetensors` has, for each case, the tensors of a file, a layer before, and the layer with
them: modules of lycoris-lora 4.1.3 with random factors, their `custom_state_dict`, and the weights
with which their `forward` computes. (That version's `get_merged_weight` of LoHa and LoKr multiplies
by alpha/rank twice, its `forward` once.) The package itself is not needed.
"""

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from stable_diffusion.lora import read_lora

VECTORS = Path(__file__).with_name("lycoris.safetensors")


def _cases() -> dict[str, dict[str, dict[str, Tensor]]]:
    found: dict[str, dict[str, dict[str, Tensor]]] = {}
    with safe_open(VECTORS, framework="pt") as file:
        for key in file.keys():  # noqa: SIM118 - no mapping
            case, kind, name = key.split("/")
            kinds = found.setdefault(case, {"file": {}, "before": {}, "after": {}})
            kinds[kind][name] = file.get_tensor(key)
    return found


CASES = _cases()


@pytest.mark.parametrize("case", CASES)
def test_the_merged_layer_is_that_of_lycoris(tmp_path: Path, case: str) -> None:
    tensors = CASES[case]
    path = tmp_path / "x.safetensors"
    save_file({f"lora_unet_x.{name}": each for name, each in tensors["file"].items()}, path)
    change = read_lora(path).layers["lora_unet_x"]
    before = tensors["before"]
    merged = {"weight": before["weight"] + change.of_weight(before["weight"])}
    if change.bias_roles:
        merged["bias"] = before["bias"] + change.of_bias(before["bias"])
    assert merged.keys() == tensors["after"].keys()
    for name, expected in tensors["after"].items():
        torch.testing.assert_close(merged[name], expected, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(before[name], expected, atol=1e-3)
    assert change.weight_roles | change.bias_roles == change.tensors.keys()
