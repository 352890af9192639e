"""The change that a file makes to one layer: to its weight, and to its bias."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from stable_diffusion.lora.methods import METHODS, Method, WrongShape

_BIASES = ("diff_b", "b_norm", "up_bias")
_LATENT_CHANNELS = 4
_FURTHER_INPUTS = (8, 9)
"""Channels that a first convolution takes: of an instruction, of an inpainting model."""
_NUMBERS = {"alpha", "scale", "scalar", "on_input"}
"""Roles of single numbers, which may be integers."""


class LowRank(NamedTuple):
    """A change of a weight that is the product of two factors, float32.

    Attributes:
        up: (out, rank), multiplied by the scale.
        down: (rank, in, ...), for the weight's shape (out, in, ...).
    """

    up: Tensor
    down: Tensor


@dataclass(frozen=True)
class LayerChange:
    """The tensors of one layer.

    Attributes:
        tensors: by role, see `names`.
        names: of the tensors in the file, by role.
        scale: what the product is multiplied by, where a configuration beside the tensors says it;
            None: alpha/rank, and alpha is the rank where the file has none.
    """

    tensors: Mapping[str, Tensor]
    names: Mapping[str, str]
    scale: float | None = None

    @cached_property
    def method(self) -> Method | None:
        """The method whose tensors are complete; None: no change of the weight can be read."""
        return next(
            (
                method
                for method in METHODS
                if any(needed <= self.tensors.keys() for needed in method.needs)
            ),
            None,
        )

    @cached_property
    def weight_roles(self) -> frozenset[str]:
        """The roles that the change of the weight reads."""
        if self.method is None:
            return frozenset()
        taken = self.method.takes.union(*self.method.needs)
        return frozenset(taken & self.tensors.keys())

    @cached_property
    def bias_roles(self) -> frozenset[str]:
        """The roles that the change of the bias reads."""
        return frozenset(role for role in _BIASES if role in self.tensors)

    def factored(self, weight: Tensor) -> Tensor | LowRank:
        """As `of_weight`, without the product where it is one of two factors."""
        is_matrix = weight.dim() > 1  # a norm has one value for each channel
        if not is_matrix or self.weight_roles - {"alpha", "scale", "scalar"} != {"up", "down"}:
            return self.of_weight(weight)
        self._check_types()
        # what does not fit `of_weight` names
        with suppress(RuntimeError, IndexError, TypeError):
            up, down = (self.tensors[role].to(weight.device).float() for role in ("up", "down"))
            up, down = up.flatten(1), down.reshape(len(down), *weight.shape[1:])
            if up.shape == (len(weight), len(down)):
                return LowRank(self._scale(len(down)) * up, down)
        return self.of_weight(weight)

    def of_weight(self, weight: Tensor) -> Tensor:
        """What strength 1 adds to the weight, in its shape, float32.

        Args:
            weight: the model's own.

        Raises:
            ValueError: it does not have the weight's shape, or its factors do not fit together.
        """
        assert self.method is not None
        self._check_types()
        base = weight.float()
        factors = {role: self.tensors[role].to(weight.device).float() for role in self.weight_roles}
        try:
            product, rank = self.method.product(factors, base)
            product = _for_further_inputs(product, weight)
            if product.numel() != weight.numel() or product.shape[0] != weight.shape[0]:
                raise WrongShape(product.shape, weight.shape)
            added = self._scale(rank) * product.reshape(weight.shape)
            norms = factors.get("dora_scale", factors.get("magnitude"))
            if norms is None:
                return added
            return _decomposed(base + added, norms, by_output="magnitude" in factors) - base
        except (RuntimeError, IndexError, TypeError) as error:  # torch's, about shapes
            raise ValueError(f"factors that do not fit {tuple(weight.shape)}") from error

    def _check_types(self) -> None:
        """Raise ValueError for integers, of which it is not known what they mean."""
        for role in self.weight_roles - _NUMBERS:
            dtype = self.tensors[role].dtype
            if not dtype.is_floating_point:
                raise ValueError(f"{role} as {dtype}, and what its values mean is not known")

    def of_bias(self, bias: Tensor) -> Tensor:
        """What strength 1 adds to the bias, float32. Raises ValueError: of another shape."""
        total = torch.zeros_like(bias, dtype=torch.float32)
        for role in self.bias_roles:
            added = self.tensors[role].to(bias.device).float().flatten()
            if added.shape != bias.shape:
                raise WrongShape(added.shape, bias.shape)
            if role == "up_bias":
                added = added * self._scale_of_low_rank()
            total += added
        return total

    def _scale_of_low_rank(self) -> float:
        try:
            return self._scale(len(self.tensors["down"]))
        except (KeyError, RuntimeError, TypeError) as error:
            raise ValueError("a bias without the factors of its weight") from error

    def _scale(self, rank: int | None) -> float:
        scale = 1.0
        if self.scale is not None:
            scale = self.scale
        elif "scale" in self.tensors:
            scale = float(self.tensors["scale"])
        elif rank is not None and "alpha" in self.tensors:
            scale = float(self.tensors["alpha"]) / max(rank, 1)
        return scale * float(self.tensors["scalar"]) if "scalar" in self.tensors else scale


def _for_further_inputs(product: Tensor, weight: Tensor) -> Tensor:
    """A change of the first convolution, for a UNet that takes more than the latents.

    What was trained with the latents alone changes nothing of the further channels, as
    AUTOMATIC1111 has it for inpainting models.
    """
    of_latents = weight.dim() == 4 and weight.shape[1] in _FURTHER_INPUTS
    if of_latents and product.numel() == _LATENT_CHANNELS * weight[:, 0].numel():
        added = product.new_zeros(weight.shape)
        added[:, :_LATENT_CHANNELS] = product.reshape(added[:, :_LATENT_CHANNELS].shape)
        return added
    return product


def _decomposed(weight: Tensor, norms: Tensor, *, by_output: bool) -> Tensor:
    """DoRA (arXiv:2402.09353): the weight with these norms, of its outputs or of its inputs.

    Older files of LyCORIS have a norm for each input, others one for each output: the shape says
    which. PEFT always has one for each output.
    """
    rest = [1] * (weight.dim() - 2)
    if by_output or norms.dim() == 1 or norms.shape[0] == weight.shape[0]:
        kept, shape = 0, (-1, 1, *rest)
    else:
        kept, shape = 1, (1, -1, *rest)
    if norms.numel() != weight.shape[kept]:
        raise ValueError(f"{norms.numel()} norms, not {tuple(weight.shape)}")
    axes = [axis for axis in range(weight.dim()) if axis != kept]
    own = torch.linalg.vector_norm(weight, dim=axes, keepdim=True)
    tiny = torch.finfo(torch.float32).eps
    return weight * (norms.reshape(shape) / (own + tiny))
