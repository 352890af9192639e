"""CUDA graphs: the evaluations of a UNet recorded once, then replayed without Python.

A quick GPU has computed a layer before the next one is called; a graph is called once for all its
layers. It belongs to the shapes it was recorded with, so the first evaluations of a shape go layer
by layer, and nobody waits for a compiler.
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

log = logging.getLogger(__name__)

Evaluation = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(x (n, 4, h, w), timesteps (n,), text (n, tokens, width)) to (n, 4, h, w), on one device."""
Recorder = Callable[[Evaluation, tuple[Tensor, Tensor, Tensor]], Evaluation]
"""Makes of an evaluation and its inputs one that answers inputs of the same shapes."""

SEEN_BEFORE = 4
"""Evaluations of a shape that go layer by layer: one that is asked for once is not recorded."""
MOST = 16
"""Shapes that are recorded of one model. Jobs that share evaluations come in many."""
LARGEST = 4 * 4 * 64 * 64
"""Values of the latents: four of 512 x 512. Larger evaluations outlast the calls of their layers,
and a recording keeps the memory that they work in.
"""
_ONE_AT_A_TIME = threading.Lock()
"""CUDA records once at a time in a process."""
_TOLERANCE = 0.01
"""Of an answer's size: half precision differs by less from itself, with other kernels."""


class CudaRecorder:
    """Records on a GPU. All its recordings work in one memory, so no two may be replayed at once.

    Others may use the device while it records.
    """

    def __call__(self, evaluation: Evaluation, inputs: tuple[Tensor, Tensor, Tensor]) -> Evaluation:
        """A CUDA graph with tensors of its own to read from and to write to."""
        graph = torch.cuda.CUDAGraph()
        with _ONE_AT_A_TIME, torch.cuda.device(inputs[0].device):
            own = tuple(tensor.clone() for tensor in inputs)
            self._stream.wait_stream(torch.cuda.current_stream())
            # a recording that fails does not find its way back from its stream by itself
            with torch.cuda.stream(self._stream):
                evaluation(*own)  # what a first call on a stream sets up is no part of it
                with torch.cuda.graph(
                    graph, self._memory, self._stream, capture_error_mode="thread_local"
                ):
                    answer = evaluation(*own)
            torch.cuda.current_stream().wait_stream(self._stream)

        def replayed(*asked: Tensor) -> Tensor:
            for mine, new in zip(own, asked, strict=True):
                mine.copy_(new)
            graph.replay()
            return answer.clone()

        return replayed

    @cached_property
    def _stream(self) -> torch.cuda.Stream:
        return torch.cuda.Stream()

    @cached_property
    def _memory(self) -> Any:
        return torch.cuda.graph_pool_handle()


class Graphs:
    """The recordings of one UNet. Safe to share between threads.

    A recording is used only if it has answered as the layers did; a shape that could not be
    recorded goes layer by layer for good.

    Args:
        record: makes the recordings; None: CUDA's own.
    """

    def __init__(self, record: Recorder | None = None) -> None:
        self._record = record or CudaRecorder()
        self._lock = threading.Lock()
        self._seen: Counter[Hashable] = Counter()
        self._ready: dict[Hashable, Evaluation | None] = {}

    def evaluate(
        self, evaluation: Evaluation, x: Tensor, timesteps: Tensor, text: Tensor
    ) -> Tensor:
        """The UNet's answer, replayed if these shapes have a recording.

        Args:
            evaluation: the UNet, layer by layer; always the same one.
            x, timesteps, text: as of `Evaluation`.
        """
        inputs = x, timesteps, text
        if x.numel() > LARGEST:
            return evaluation(*inputs)
        shape = tuple((tensor.shape, tensor.dtype) for tensor in inputs)
        with self._lock:  # a recording has one place for its inputs
            replay = self._ready.get(shape)
            if replay is not None:
                return replay(*inputs)
        answer = evaluation(*inputs)
        with self._lock:
            self._seen[shape] += 1
            due = self._seen[shape] == SEEN_BEFORE and len(self._ready) < MOST
            if due:
                self._ready[shape] = self._recording(evaluation, inputs, answer)
        return answer

    def _recording(
        self, evaluation: Evaluation, inputs: tuple[Tensor, Tensor, Tensor], answer: Tensor
    ) -> Evaluation | None:
        """A recording that answers as the layers did, else None: they still do."""
        try:
            replay = self._record(evaluation, inputs)
            error = (replay(*inputs) - answer).norm() / answer.norm()
            if float(error) <= _TOLERANCE:
                return replay
            reason = f"its answer is off by {float(error):.2%}"
        except Exception as failure:  # noqa: BLE001 - nobody fails for want of speed
            reason = str(failure)
        log.warning("a UNet could not be recorded and goes layer by layer: %s", reason)
        return None
