"""CUDA graphs: the evaluations of a UNet recorded once, then replayed without Python.

On a fast GPU, calling the layers from Python takes longer than computing them; a graph launches
them all in one call. A graph is valid for the shapes it was recorded with, so the first evaluations
of a shape run layer by layer, and no job waits for a compiler.
Source: PyTorch's notes on CUDA semantics, "CUDA Graphs".
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Protocol, Self
from weakref import WeakSet

import torch
from torch import Tensor

from stable_diffusion.conditioning import Conditioning, Network
from stable_diffusion.cuda.recorder import RECORDING, CudaRecorder

log = logging.getLogger(__name__)

Tensors = tuple[Tensor, ...]
"""The inputs of an evaluation: latents, timesteps, then `Conditioning.tensors`."""
Function = Callable[..., Tensor]
"""Of `Tensors` as positional arguments, all on one device."""

RECORD_AFTER = 4
"""Evaluations of a shape that run layer by layer, so that a rare shape is not recorded."""
MAX_RECORDINGS = 16
"""Recordings of one model. Step batching produces batches of many sizes."""
MAX_RECORDED_BYTES = 2 * 2**30
"""The device's memory for the recordings of one model; the last one may exceed it."""
MAX_LATENT_VALUES = 8 * 4 * 64 * 64
"""Numbers in the latents: eight of 512 x 512, or a guided one of 1024 x 1024. In a larger
evaluation computing outlasts the calls of the layers, and a recording keeps its working memory.
"""
_TOLERANCE = 0.01
"""Relative. Half precision differs by less from itself when other kernels compute it."""
_ALL: "WeakSet[Graphs]" = WeakSet()
_ALL_LOCK = threading.Lock()


class Recorder(Protocol):
    """Records functions. All its recordings share one memory pool, so they must not overlap."""

    @property
    def nbytes(self) -> int:
        """Bytes of the device that its recordings take."""
        ...

    def __call__(self, function: Function, inputs: Tensors) -> Function:
        """A function that computes the same of further inputs of the same shapes."""
        ...

    def renewed(self) -> Self:
        """One with memory of its own."""
        ...


class Graphs:
    """The recordings of one UNet. Safe to share between threads.

    A recording is used only if it reproduced the output of the layers; a shape whose recording
    failed runs layer by layer from then on.

    Args:
        record: makes the recordings; None: `CudaRecorder`.
    """

    def __init__(self, record: Recorder | None = None) -> None:
        self._record: Recorder = record or CudaRecorder()
        self._lock = threading.Lock()
        self._seen: Counter[Hashable] = Counter()
        self._recordings: dict[Hashable, Function | None] = {}
        with _ALL_LOCK:
            _ALL.add(self)

    def empty(self) -> "Graphs":
        """Without recordings, for another UNet."""
        return Graphs(self._record.renewed())

    def clear(self) -> None:
        """Drop the recordings, which gives their memory back to the allocator.

        What could not be recorded is not tried again.
        """
        with self._lock:
            failed = [shapes for shapes, replay in self._recordings.items() if replay is None]
            self._recordings = dict.fromkeys(failed)
            self._seen.clear()
            self._record = self._record.renewed()

    def evaluate(
        self, network: Network, x: Tensor, timesteps: Tensor, conditioning: Conditioning
    ) -> Tensor:
        """The network's prediction, replayed if these shapes have a recording.

        Args:
            network: the UNet, layer by layer; the same one at every call.
            x, timesteps, conditioning: as of `Network`.
        """
        if x.numel() > MAX_LATENT_VALUES:
            return network(x, timesteps, conditioning)
        inputs = (x, timesteps, *conditioning.tensors)
        shapes = tuple((tensor.shape, tensor.dtype) for tensor in inputs), conditioning.batch_key
        with self._lock:  # a recording has one set of inputs
            replay = self._recordings.get(shapes)
            if replay is not None:
                return replay(*inputs)

        def function(x: Tensor, timesteps: Tensor, *tensors: Tensor) -> Tensor:
            return network(x, timesteps, conditioning.with_tensors(tensors))

        output = function(*inputs)
        with self._lock:
            self._seen[shapes] += 1
            seen_often = self._seen[shapes] == RECORD_AFTER
            if seen_often and shapes not in self._recordings and self._has_room():
                self._recordings[shapes] = self._recording(function, inputs, output)
        return output

    def _has_room(self) -> bool:
        return len(self._recordings) < MAX_RECORDINGS and self._record.nbytes < MAX_RECORDED_BYTES

    def _recording(self, function: Function, inputs: Tensors, output: Tensor) -> Function | None:
        """A recording that reproduces `output`, else None."""
        try:
            replay = self._record(function, inputs)
            error = float((replay(*inputs) - output).norm() / output.norm())
            if error <= _TOLERANCE:
                return replay
            reason = f"its output is off by {error:.2%}"
        except Exception as failure:  # noqa: BLE001 - a job must not fail for lack of a recording
            reason = str(failure)
        log.warning("cannot record a UNet as a CUDA graph, it runs layer by layer: %s", reason)
        return None


def free_memory() -> None:
    """Drop all recordings of the process, and give unused memory of its GPU back.

    Waits for a recording in progress: PyTorch's allocator must not free memory during one.
    """
    with _ALL_LOCK:
        every = list(_ALL)
    for graphs in every:
        graphs.clear()
    with RECORDING:
        torch.cuda.empty_cache()
