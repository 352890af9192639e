"""Recorded guided evaluations of a UNet on a GPU, as they are and as they might be.

Each variant is a copy of the UNet; what is kept is decided by these figures.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from benchmarks.gpu_subject import Subject
from benchmarks.harness import Figure, figure, in_turns, seconds
from stable_diffusion.conditioning import Conditioning
from stable_diffusion.cuda.recorder import CudaRecorder
from stable_diffusion.model import Model
from stable_diffusion.networks import empty_conditioning, unet_prediction
from stable_diffusion.offload.plan import PARTS

EVALUATIONS = 20
"""Of an arm in a round; in a rehearsal one."""
_MOST_VARIANTS = 100
"""Kinds and shapes of a UNet's parts."""
Inputs = tuple[Tensor, Tensor, Conditioning]


def measure(subject: Subject, model: Model) -> Iterator[Figure]:
    """Each variant beside what the service does."""
    unet = model.networks.unet
    usual = _recorded(subject, unet)
    count = 1 if subject.rehearsal else EVALUATIONS
    _repeated(usual, count)
    each = 1000 * seconds(partial(_repeated, usual, count)) / count
    yield figure("a guided evaluation, recorded", [each], unit="ms")
    variants: dict[str, Callable[[], Callable[[], object]]] = {
        "layout NCHW": partial(_nchw, subject, unet),
        "cuDNN searches for its fastest kernels": partial(_searched, subject, unet),
        "attention of cuDNN": partial(_attention, subject, unet, "CUDNN_ATTENTION"),
        "attention of FlashAttention": partial(_attention, subject, unet, "FLASH_ATTENTION"),
        "bfloat16": lambda: _recorded(subject, _copied(unet, dtype=torch.bfloat16)),
        "parts compiled (kept from 1.2)": partial(_compiled, subject, unet),
    }
    for name, make in variants.items():
        try:
            other = make()
        except Exception as error:  # noqa: BLE001 - a kernel may not exist for this GPU
            print(f"{name}: not measured: {type(error).__name__}: {str(error)[:200]}")
            continue
        taken, without = in_turns(
            partial(_repeated, other, count),
            partial(_repeated, usual, count),
            rounds=subject.rounds,
        )
        yield figure(f"{count} guided evaluations, {name}; as it is", taken, without)


def _nchw(subject: Subject, unet: UNet2DConditionModel) -> Callable[[], object]:
    layout = torch.contiguous_format
    return _recorded(subject, _copied(unet, memory_format=layout), layout)


def _copied(unet: UNet2DConditionModel, **changes: Any) -> UNet2DConditionModel:
    other = copy.deepcopy(unet)
    plain: nn.Module = other
    plain.to(**changes)
    return other


def _searched(subject: Subject, unet: UNet2DConditionModel) -> Callable[[], object]:
    with _searching():
        return _recorded(subject, unet)


def _attention(subject: Subject, unet: UNet2DConditionModel, kernel: str) -> Callable[[], object]:
    from torch.nn.attention import SDPBackend, sdpa_kernel  # noqa: PLC0415 - a context per variant

    backends = [getattr(SDPBackend, kernel), SDPBackend.MATH]
    chosen: AbstractContextManager[object] = (
        nullcontext() if subject.rehearsal else sdpa_kernel(backends, set_priority=True)
    )
    with chosen:
        return _recorded(subject, unet)


def _compiled(subject: Subject, unet: UNet2DConditionModel) -> Callable[[], object]:
    """The parts that occur many times, compiled once a kind and recorded with the rest."""
    from torch._dynamo import config  # noqa: PLC0415 - takes a second

    other = _copied(unet)
    for module in other.modules():
        if isinstance(module, PARTS) and not subject.rehearsal:
            module.compile(dynamic=False)
    # all of them count as one function, of which PyTorch compiles eight variants by default
    with config.patch(recompile_limit=_MOST_VARIANTS):
        return _recorded(subject, other)


@contextmanager
def _searching() -> Iterator[None]:
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = False


def _recorded(
    subject: Subject,
    unet: UNet2DConditionModel,
    layout: torch.memory_format = torch.channels_last,
) -> Callable[[], object]:
    """A guided evaluation at the recipe's size, recorded as the service does it on a GPU."""
    side = subject.recipe.width // subject.family.latents.factor
    with torch.device(subject.device):
        empty = empty_conditioning(unet).expand(2)
        text = empty.with_tensors([torch.randn(t.shape).to(unet.dtype) for t in empty.tensors])
        x = torch.randn(2, unet.config["in_channels"], side, side)
        t = torch.full((2,), 500.0)
    x = x.to(unet.dtype, memory_format=layout)

    def function(x: Tensor, t: Tensor, *tensors: Tensor) -> Tensor:
        return unet_prediction(unet, x, t, text.with_tensors(tensors))

    inputs = (x, t, *text.tensors)
    with torch.inference_mode():
        for _ in range(2):
            function(*inputs)
        replay = function if subject.rehearsal else CudaRecorder()(function, inputs)

    def evaluate() -> None:
        with torch.inference_mode():
            replay(*inputs)

    return evaluate


def _repeated(evaluate: Callable[[], object], count: int) -> None:
    for _ in range(count):
        evaluate()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
