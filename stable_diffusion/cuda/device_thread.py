"""One thread that computes on a GPU for all threads of the process.

cuDNN's plans for convolutions and attention, and the handles and workspaces of cuBLAS, belong to
the thread that made them. A job in a thread of its own would make all of them again.
Source: PyTorch's `ATen/native/cudnn/Conv_v8.cpp` and `MHA.cpp` (caches that are `thread_local`).
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import copy_context
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

import torch

P = ParamSpec("P")
T = TypeVar("T")
_THREADS: dict[torch.device, "DeviceThread"] = {}
_LOCK = threading.Lock()


class DeviceThread:
    """Calls functions one after another in a thread of its own.

    In it products of float32 are those of float32, not TF32, outside `tf32`.

    Args:
        device: what the functions compute on.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._ident: int | None = None
        self._executor = ThreadPoolExecutor(
            1, thread_name_prefix=f"compute on {device}", initializer=self._begin
        )

    def run(self, function: Callable[[], T]) -> T:
        """The function's result, or its exception.

        The call returns only when the function does: also a thread that is interrupted while it
        waits must not free what the function still uses. A function may call `run` itself.
        """
        if threading.get_ident() == self._ident:
            return function()
        future = self._executor.submit(copy_context().run, function)
        try:
            return future.result()
        except BaseException:
            if not future.cancel():
                wait([future])
            raise
        finally:
            # it refers to the exception, whose traceback refers to this frame and to tensors
            del future

    def _begin(self) -> None:
        self._ident = threading.get_ident()
        if self._device.type == "cuda":
            torch.cuda.set_device(self._device)
        _set_tf32(False)


def thread_of(device: torch.device) -> DeviceThread | None:
    """The thread that computes on a GPU, the same for all models; None for other devices.

    On a CPU concurrent jobs compute in their own threads.

    Args:
        device: with its index, see `with_index`.
    """
    if device.type != "cuda":
        return None
    with _LOCK:
        if device not in _THREADS:
            _THREADS[device] = DeviceThread(device)
        return _THREADS[device]


def with_index(device: torch.device | str) -> torch.device:
    """The device as tensors name it: `cuda` is the current GPU, such as `cuda:0`."""
    device = torch.device(device)
    if device.type != "cuda" or device.index is not None:
        return device
    return torch.device("cuda", torch.cuda.current_device() if torch.cuda.is_available() else 0)


class Computes(Protocol):
    """What has methods that compute on a device.

    Attributes:
        device_thread: in which they compute; None: in the thread that calls them.
        tf32: whether those of them that may do so compute in TF32 on a GPU.
    """

    @property
    def device_thread(self) -> DeviceThread | None: ...
    @property
    def tf32(self) -> bool: ...


C = TypeVar("C", bound=Computes)
Method = Callable[Concatenate[C, P], T]


def on_device(method: Method[C, P, T]) -> Method[C, P, T]:
    """Have a method compute in the thread of its object's device."""
    return _on_device(method, may_use_tf32=False)


def on_device_in_tf32(method: Method[C, P, T]) -> Method[C, P, T]:
    """The same, in TF32 where its object allows it."""
    return _on_device(method, may_use_tf32=True)


def _on_device(method: Method[C, P, T], *, may_use_tf32: bool) -> Method[C, P, T]:
    @wraps(method)
    def call(self: C, *args: P.args, **kwargs: P.kwargs) -> T:
        def compute() -> T:
            with tf32(may_use_tf32 and self.tf32):
                return method(self, *args, **kwargs)

        thread = self.device_thread
        return thread.run(compute) if thread else method(self, *args, **kwargs)

    return call


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Compute products of float32 with ten bits of their mantissa (TF32), which GPUs do faster.

    PyTorch has one such setting for the whole process, so it changes within a `DeviceThread` only.
    Source: PyTorch's notes on CUDA semantics, "TensorFloat-32 (TF32) on Ampere".
    """
    if not allowed:
        yield
        return
    _set_tf32(True)
    try:
        yield
    finally:
        _set_tf32(False)


def _set_tf32(allowed: bool) -> None:
    # by PyTorch's older names as well: where those are read, as when it compiles convolutions, it
    # raises an error if they say something else
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed
    precision = "tf32" if allowed else "ieee"
    torch.backends.cuda.matmul.fp32_precision = precision
    torch.backends.cudnn.conv.fp32_precision = precision  # type: ignore[attr-defined]
    torch.backends.cudnn.rnn.fp32_precision = precision  # type: ignore[attr-defined]
