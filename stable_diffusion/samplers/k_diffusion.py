"""k-diffusion's sample functions, without the rest of k-diffusion.

`import k_diffusion` runs the package's `__init__`, which imports its training and evaluation
code: CLIP, wandb, kornia, torchvision, clean-fid and more, none of which sampling needs and some
of which no longer import. The functions themselves are in `k_diffusion/sampling.py`,
which needs torch, scipy, torchsde, torchdiffeq, tqdm and one helper of `k_diffusion/utils.py`.

So the installed `sampling.py` is loaded by its path, unchanged, as a module of a package with
another name. Its `from . import utils` finds a stub with that one helper. `sys.modules` gets no
entry for `k_diffusion` itself.

Some functions have no argument for their noise: they call `torch.randn_like`, which `drawing` has
answered by a picture's own generator.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

_PACKAGE = "_k_diffusion_sampling_only"
_loading = Lock()
_noise: ContextVar[Callable[[Tensor], Tensor]] = ContextVar("noise", default=torch.zeros_like)


def sampling() -> Any:
    """The module `k_diffusion.sampling`, loaded at the first call (about a second).

    Raises:
        ModuleNotFoundError: k-diffusion is not installed.
    """
    with _loading:
        return _sampling()


@cache
def _sampling() -> ModuleType:
    spec = find_spec("k_diffusion")  # locates the package without running it
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("k-diffusion is not installed", name="k_diffusion")
    folder = Path(spec.submodule_search_locations[0])

    package = ModuleType(_PACKAGE)
    package.__path__ = []
    utils = ModuleType(f"{_PACKAGE}.utils")
    utils.append_dims = append_dims  # pyright: ignore[reportAttributeAccessIssue]
    package.utils = utils  # pyright: ignore[reportAttributeAccessIssue]
    sys.modules |= {_PACKAGE: package, utils.__name__: utils}

    module_spec = spec_from_file_location(f"{_PACKAGE}.sampling", folder / "sampling.py")
    assert module_spec is not None
    assert module_spec.loader is not None
    module = module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    module.torch = _Torch("torch")  # pyright: ignore[reportAttributeAccessIssue]
    return module


@contextmanager
def drawing(noise: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """In this thread and block, the functions draw this noise; called with the latents."""
    token = _noise.set(noise)
    try:
        yield
    finally:
        _noise.reset(token)


class _Torch(ModuleType):
    """The module `torch`, but for the noise."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    def randn_like(self, x: Tensor) -> Tensor:
        return _noise.get()(x)


def append_dims(x: Tensor, target_dims: int) -> Tensor:
    """`k_diffusion.utils.append_dims`: dimensions of size 1 at the end, up to `target_dims`."""
    return x[(...,) + (None,) * (target_dims - x.ndim)]
