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
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from stable_diffusion.conditioning import Conditioning, Network

log = logging.getLogger(__name__)

Tensors = tuple[Tensor, ...]
"""The inputs of an evaluation: latents, timesteps, then `Conditioning.tensors`."""
Function = Callable[..., Tensor]
"""Of `Tensors` as positional arguments, all on one device."""
Recorder = Callable[[Function, Tensors], Function]
"""Turns a function and its inputs into one that accepts further inputs of the same shapes."""

RECORD_AFTER = 4
"""Evaluations of a shape that run layer by layer, so that a rare shape is not recorded."""
MAX_RECORDINGS = 16
"""Recordings of one model. Step batching produces batches of many sizes."""
MAX_LATENT_VALUES = 4 * 4 * 64 * 64
"""Numbers in the latents: four of 512 x 512. In a larger evaluation computing outlasts the calls
of the layers, and a recording keeps its working memory allocated.
"""
_CAPTURE = threading.Lock()
"""CUDA captures one graph at a time in a process."""
_TOLERANCE = 0.01
"""Relative. Half precision differs by less from itself when other kernels compute it."""


class CudaRecorder:
    """Records on a GPU. All its recordings share one memory pool, so they must not overlap.

    Other threads may use the device while it records.
    """

    def __call__(self, function: Function, inputs: Tensors) -> Function:
        """A CUDA graph that reads its own copies of the inputs and writes its own output."""
        graph = torch.cuda.CUDAGraph()
        with _CAPTURE, torch.cuda.device(inputs[0].device):
            own = tuple(tensor.clone() for tensor in inputs)
            self._stream.wait_stream(torch.cuda.current_stream())
            # torch.cuda.graph does not restore the stream when a capture fails; this block does
            with torch.cuda.stream(self._stream):
                function(*own)  # the first call on a stream initialises libraries: not captured
                with torch.cuda.graph(
                    graph, self._memory, self._stream, capture_error_mode="thread_local"
                ):
                    output = function(*own)
            torch.cuda.current_stream().wait_stream(self._stream)

        def replay(*given: Tensor) -> Tensor:
            for mine, new in zip(own, given, strict=True):
                mine.copy_(new)
            graph.replay()
            return output.clone()

        return replay

    @cached_property
    def _stream(self) -> torch.cuda.Stream:
        return torch.cuda.Stream()

    @cached_property
    def _memory(self) -> Any:
        return torch.cuda.graph_pool_handle()


class Graphs:
    """The recordings of one UNet. Safe to share between threads.

    A recording is used only if it reproduced the output of the layers; a shape whose recording
    failed runs layer by layer from then on.

    Args:
        record: makes the recordings; None: `CudaRecorder`.
    """

    def __init__(self, record: Recorder | None = None) -> None:
        self._record = record or CudaRecorder()
        self._lock = threading.Lock()
        self._seen: Counter[Hashable] = Counter()
        self._recordings: dict[Hashable, Function | None] = {}

    def empty(self) -> "Graphs":
        """Without recordings, for another UNet."""
        return Graphs(None if isinstance(self._record, CudaRecorder) else self._record)

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
            if self._seen[shapes] == RECORD_AFTER and len(self._recordings) < MAX_RECORDINGS:
                self._recordings[shapes] = self._recording(function, inputs, output)
        return output

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
