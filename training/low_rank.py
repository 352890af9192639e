"""Low-rank changes of a network's layers in training (LoRA, Hu et al. 2021, arXiv:2106.09685).

All convolutions and linear layers are changed, W + up·down, as LCM-LoRA does (Luo et al. 2023,
arXiv:2311.05556). The sum is written into the network, so an evaluation costs what it always does,
and the gradients of the factors follow from those of the sum.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from training.saving import save_half

LORA_PREFIX = "lora_unet_"
"""kohya's name of the UNet, with which its layers' names begin."""


class LowRankChanges(nn.Module):
    """The factors of the changes of a UNet's layers.

    Args:
        unet: is changed in place by `apply_to_network`; only the weights of its changed layers get
            gradients.
        rank: of each product; less where the layer is smaller.
    """

    def __init__(self, unet: nn.Module, rank: int) -> None:
        super().__init__()
        unet.requires_grad_(False)
        self.rank = rank
        self.weights = {
            LORA_PREFIX + name.replace(".", "_"): layer.weight.requires_grad_(True)
            for name, layer in unet.named_modules()
            if isinstance(layer, nn.Conv2d | nn.Linear)
        }
        self._own = {name: weight.detach().clone() for name, weight in self.weights.items()}
        self.down, self.up = nn.ParameterDict(), nn.ParameterDict()
        for name, weight in self._own.items():
            outputs, inputs = len(weight), weight[0].numel()
            own_rank = min(rank, outputs, inputs)
            down = torch.empty(own_rank, inputs, device=weight.device)
            self.down[name] = nn.init.kaiming_uniform_(down, a=5**0.5)
            self.up[name] = torch.zeros(outputs, own_rank, device=weight.device)

    def sums(self) -> list[Tensor]:
        """W + up·down of each layer, in the order of `weights`."""
        return [
            own + (self.up[name] @ self.down[name]).view(own.shape)
            for name, own in self._own.items()
        ]

    @torch.no_grad()
    def apply_to_network(self) -> None:
        """Write the sums into the network."""
        for weight, total in zip(self.weights.values(), self.sums(), strict=True):
            weight.copy_(total)

    def backward(self) -> None:
        """Turn the gradients of the network's weights into gradients of the factors."""
        gradients = [weight.grad for weight in self.weights.values()]
        torch.autograd.backward(self.sums(), gradients)
        for weight in self.weights.values():
            weight.grad = None

    def save(self, path: Path, metadata: Mapping[str, str]) -> None:
        """Write a file with kohya's names in float16, whole or not at all."""
        tensors: dict[str, Tensor] = {}
        for name, own in self._own.items():
            down, up = self.down[name].detach(), self.up[name].detach()
            rank = len(down)
            kernel = own.shape[2:]
            tensors[f"{name}.lora_down.weight"] = down.view(rank, *own.shape[1:])
            tensors[f"{name}.lora_up.weight"] = up.view(len(up), rank, *(1 for _ in kernel))
            tensors[f"{name}.alpha"] = torch.tensor(float(rank))
        save_half(tensors, path, metadata)
