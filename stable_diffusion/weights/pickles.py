"""Reads what torch has pickled, without running code of the file.

torch's `weights_only` unpickler decides what may be built. A checkpoint often holds more than
tensors, such as Lightning's callbacks or numpy's scalars; for each of those names an inert class
stands in, never the named object itself, so that the tensors beside them can be read.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from stable_diffusion.errors import UnreadableModel
from stable_diffusion.weights.file_diagnosis import diagnose
from stable_diffusion.weights.pickle_sizes import check_sizes, is_zip

log = logging.getLogger(__name__)

# Without one of these a tensor would be missing in silence.
_NEEDED = ("torch._utils.", "torch._tensor.", "torch.storage.", "torch.serialization.")
_TORCH_KNOWS = ("torch.", "collections.", "_codecs.")
_lock = threading.Lock()
"""The names that torch allows are the whole process'."""


def read_pickle(path: Path, allowed: Mapping[str, Callable[..., Any]] | None = None) -> Any:
    """What torch or pickle saved in a file; objects other than tensors and containers are inert.

    Args:
        path: of a .ckpt, .pth, .pt or .bin file.
        allowed: further classes that are safe to build, by their full names.

    Raises:
        UnreadableModel: it is damaged, of another type, or a pickle that torch refuses.
    """
    try:
        kinds = check_sizes(path)
        # files from before torch wrote zip archives cannot be mapped
        mapped = is_zip(path)
        known = {"collections.defaultdict": _empty_dict, **(allowed or {})}
        inert = sorted(n for n in kinds if n not in known and not n.startswith(_NEEDED))
        stand_ins = known | {
            name: type(name, (_STAND_INS.get(kinds[name], _Inert),), {}) for name in inert
        }
        by_name: list[Any] = [(stand_in, name) for name, stand_in in stand_ins.items()]
        with _lock, torch.serialization.safe_globals(by_name):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # torch's UnpicklingError and zip errors share no narrower class
        reason = diagnose(path) or (
            "is not a safe checkpoint: it is damaged, or a pickle that holds more than tensors and "
            f"could run code ({error})"
        )
        raise UnreadableModel(f"model file {path.name!r} {reason}") from error
    if left_out := [name for name in inert if not name.startswith(_TORCH_KNOWS)]:
        log.debug("objects of %s were left out: %s", path.name, ", ".join(left_out))
    return content


class _Inert:
    """Stands in for an object of a pickle: takes every argument, keeps nothing, does nothing."""

    __slots__ = ()

    def __new__(cls, *_: object, **__: object) -> "_Inert":
        return object.__new__(cls)

    def __setstate__(self, _: object) -> None: ...


class _InertDict(_Inert):
    """Stands in for a subclass of dict: torch fills only dictionaries of its own types."""

    __slots__ = ()

    def __new__(cls, *_: object, **__: object) -> Any:
        return OrderedDict[object, object]()


class _InertList(_Inert):
    """Stands in for a list of another type, such as a deque."""

    __slots__ = ()

    def __new__(cls, *_: object, **__: object) -> Any:
        return list[object]()


_STAND_INS: dict[type, type[_Inert]] = {dict: _InertDict, list: _InertList}


def _empty_dict(*_: object) -> dict[Any, Any]:
    return {}
