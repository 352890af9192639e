"""The formulas: what each method adds to a weight W, from the factors in a file.

Sources: Hu et al. 2021, arXiv:2106.09685 (LoRA); Hyeon-Woo et al. 2021, arXiv:2108.06098 (LoHa);
Yeh et al. 2023, arXiv:2309.14859 (LoKr, LyCORIS); Liu et al. 2022, arXiv:2205.05638 (IA3); Qiu et
al. 2023, arXiv:2306.07280 (OFT); Liu et al. 2023, arXiv:2311.06243 (BOFT); Chavan et al. 2023,
arXiv:2306.07967 (GLoRA); and, where they differ from those, LyCORIS' `functional/` and `modules/`.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

Factors = Mapping[str, Tensor]
"""The tensors of one layer by role, float32."""
Product = tuple[Tensor, int | None]
"""What is added to W, in any shape of its size, and the rank that divides alpha; None: none does.
"""


class WrongShape(ValueError):
    """A change has another shape than what it is for.

    Attributes:
        shape: that of the change.
    """

    def __init__(self, shape: tuple[int, ...], own: tuple[int, ...]) -> None:
        super().__init__(f"shape {tuple(shape)}, not {tuple(own)}")
        self.shape = tuple(shape)


class Method(NamedTuple):
    """One method.

    Attributes:
        needs: each of these alternatives is a set of roles that suffices.
        takes: roles that it reads beside those.
        product: of the factors and W.
    """

    needs: tuple[frozenset[str], ...]
    takes: frozenset[str]
    product: Callable[[Factors, Tensor], Product]


_MAX_GROWTH = 64
"""How many times the values of its factors and of W a product within a formula may have."""


def _tucker(core: Tensor, left: Tensor, right: Tensor, weight: Tensor) -> Tensor:
    """The core (i, j, ...) between (i, out) and (j, in), as (out, in, ...).

    Raises ValueError if it would be larger than W, or the product of `core` and `left` much larger.
    """
    kernel = math.prod(core.shape[2:])
    between = left.shape[1] * core.shape[1] * kernel
    given = core.numel() + left.numel() + right.numel() + weight.numel()
    if left.shape[1] * right.shape[1] * kernel > weight.numel() or between > _MAX_GROWTH * given:
        raise ValueError(f"factors that multiply to more than {tuple(weight.shape)}")
    return torch.einsum("ij...,ip,jr->pr...", core, left, right)


def _check_size(shape: tuple[int, ...], weight: Tensor) -> None:
    """Raise ValueError before a product of another size than W's is computed."""
    if math.prod(shape) != weight.numel():
        raise WrongShape(shape, weight.shape)


def _low_rank(factors: Factors, weight: Tensor) -> Product:
    up, down = factors["up"].flatten(1), factors["down"].flatten(1)
    if "mid" in factors:
        mid = factors["mid"]
        _check_size((len(up), down.shape[1], *mid.shape[2:]), weight)
        return _tucker(mid, up.T, down, weight), len(down)
    _check_size((len(up), down.shape[1]), weight)
    return up @ down, len(down)


def _embedding(factors: Factors, weight: Tensor) -> Product:
    """PEFT's for a table of tokens, whose rows are inputs."""
    up, down = factors["embedding_up"], factors["embedding_down"]
    _check_size((down.shape[1], len(up)), weight)
    return (up @ down).T, len(down)


def _hadamard(factors: Factors, weight: Tensor) -> Product:
    halves: list[Tensor] = []
    for n in (1, 2):
        left, right = factors[f"hada_w{n}_a"], factors[f"hada_w{n}_b"]
        core = factors.get(f"hada_t{n}")
        if core is None:
            left, right = left.flatten(1), right.flatten(1)
            _check_size((len(left), right.shape[1]), weight)
            halves.append(left @ right)
        else:
            _check_size((left.shape[1], right.shape[1], *core.shape[2:]), weight)
            halves.append(_tucker(core, left, right, weight))
    return halves[0] * halves[1], len(factors["hada_w1_b"])


def _kronecker(factors: Factors, weight: Tensor) -> Product:
    rank: int | None = None
    halves: list[Tensor] = []
    for n in (1, 2):
        half = factors.get(f"lokr_w{n}")
        if half is None:
            left, right = factors[f"lokr_w{n}_a"], factors[f"lokr_w{n}_b"]
            rank = rank or len(right)
            core = factors.get("lokr_t2") if n == 2 else None
            if core is None and len(left) * right[0].numel() > weight.numel():
                raise ValueError(f"a factor larger than {tuple(weight.shape)}")
            half = (
                (left @ right.flatten(1)).reshape(len(left), *right.shape[1:])
                if core is None
                else _tucker(core, left, right, weight)
            )
        halves.append(half)
    small, large = halves
    _check_size((small.numel(), large.numel()), weight)
    return torch.kron(small.reshape(*small.shape, *[1] * (large.dim() - small.dim())), large), rank


def _generalized(factors: Factors, weight: Tensor) -> Product:
    """W·A + B; older files name the factors of A and of B the other way round."""
    a1, a2, b1, b2 = (factors[name].flatten(1) for name in ("a1", "a2", "b1", "b2"))
    if len(b1) != len(weight) or b1.shape[1] != len(b2):
        a1, a2, b1, b2 = a2, a1, b2, b1
    rank = len(b2)
    kernel = factors["bm"].shape[2:] if "bm" in factors else ()
    _check_size((len(b1), b2.shape[1], *kernel), weight)
    _check_size((len(weight), len(a1), *weight.shape[2:]), weight)
    _check_size((len(weight), a2.shape[1], *weight.shape[2:]), weight)
    added = _tucker(factors["bm"], b1.T, b2, weight).flatten(1) if "bm" in factors else b1 @ b2
    return added + torch.einsum("oi...,ij->oj...", weight, a1 @ a2).flatten(1), rank


def _rescaling(factors: Factors, weight: Tensor) -> Product:
    """IA3: W scaled along its inputs or its outputs."""
    along_inputs = bool(factors["on_input"])
    if factors["weight"].numel() != weight.shape[int(along_inputs)]:
        raise ValueError(f"{factors['weight'].numel()} scales, not {tuple(weight.shape)}")
    axis = (1, -1) if along_inputs else (-1, 1)
    scale = factors["weight"].reshape(*axis, *[1] * (weight.dim() - 2))
    return weight * scale, None


def _rotation(factors: Factors, weight: Tensor) -> Product:
    """OFT and BOFT: blocks of W's outputs rotated, in BOFT several times in another order.

    A file's alpha limits the rotation here, as kohya and LyCORIS write it.
    """
    if "oft_diag" in factors:
        rotations = factors["oft_diag"]
    else:
        blocks = factors["oft_blocks"]
        if blocks.shape[-1] != blocks.shape[-2]:
            raise ValueError(f"blocks of {tuple(blocks.shape)}, which are not square")
        skew = blocks - blocks.mT
        limit = float(factors.get("alpha", torch.zeros(()))) * len(weight)
        norm = float(skew.norm())
        if limit > 0 and norm > limit:
            skew = skew * (limit / (norm + 1e-8))
        eye = torch.eye(skew.shape[-1], device=skew.device)
        rotations = (eye + skew) @ torch.linalg.inv(eye - skew)
    if rotations.dim() == 3:
        turned = torch.einsum(
            "knm,kn...->km...", rotations, weight.unflatten(0, rotations.shape[:2])
        ).flatten(0, 1)
    else:
        turned = weight
        for stage, stage_rotations in enumerate(rotations):
            turned = _butterfly(turned, stage_rotations, 2**stage)
    if "rescale" in factors:
        turned = turned * factors["rescale"].reshape(-1, *[1] * (weight.dim() - 1))
    return turned - weight, None


def _butterfly(weight: Tensor, rotations: Tensor, distance: int) -> Tensor:
    """One stage of BOFT: outputs that are `distance` half blocks apart are rotated together."""
    size = rotations.shape[-1]
    half = distance * size // 2
    mixed = weight.unflatten(0, (-1, 2, half)).transpose(1, 2).flatten(0, 2)
    turned = torch.einsum("bij,bj...->bi...", rotations, mixed.unflatten(0, (-1, size)))
    return turned.flatten(0, 1).unflatten(0, (-1, half, 2)).transpose(1, 2).flatten(0, 2)


def _difference(role: str) -> Callable[[Factors, Tensor], Product]:
    return lambda factors, _: (factors[role], None)


def _needs(*alternatives: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(roles.split()) for roles in alternatives)


_SCALED = frozenset({"alpha", "scale", "scalar", "dora_scale", "magnitude"})
METHODS: tuple[Method, ...] = (
    Method(_needs("up down"), _SCALED | {"mid"}, _low_rank),
    Method(_needs("embedding_up embedding_down"), _SCALED, _embedding),
    Method(
        _needs("hada_w1_a hada_w1_b hada_w2_a hada_w2_b"),
        _SCALED | {"hada_t1", "hada_t2"},
        _hadamard,
    ),
    Method(
        _needs(
            "lokr_w1 lokr_w2",
            "lokr_w1 lokr_w2_a lokr_w2_b",
            "lokr_w1_a lokr_w1_b lokr_w2",
            "lokr_w1_a lokr_w1_b lokr_w2_a lokr_w2_b",
        ),
        _SCALED | {"lokr_t2"},
        _kronecker,
    ),
    Method(_needs("a1 a2 b1 b2"), _SCALED | {"bm"}, _generalized),
    Method(_needs("weight on_input"), frozenset({"alpha"}), _rescaling),
    Method(_needs("oft_blocks", "oft_diag"), frozenset({"alpha", "rescale"}), _rotation),
    Method(_needs("diff"), frozenset({"alpha", "dora_scale"}), _difference("diff")),
    Method(_needs("w_norm"), frozenset({"alpha"}), _difference("w_norm")),
)
