"""Records a function's work on a GPU as a CUDA graph.

Source: PyTorch's notes on CUDA semantics, "CUDA Graphs"; `torch.cuda.graphs`; how a pool is ended
and released by hand, `torch.cuda.use_mem_pool`.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

RECORDING = threading.Lock()
"""Held while a graph is captured. CUDA captures one at a time in a process, and during a capture
the allocator refuses to empty its cache.
"""
_ABANDONED: list[torch.cuda.CUDAGraph] = []
"""Graphs whose capture failed. The allocator of pinned memory may ask them for the rest of the
process whether they are still capturing, since nothing ends a capture there.
"""


class CudaRecorder:
    """Records on a GPU. All its recordings share one memory pool, so they must not overlap.

    Other threads may use the device while it records.

    Attributes:
        nbytes: bytes of the pool.
    """

    def __init__(self) -> None:
        self.nbytes = 0
        self._stream: torch.cuda.Stream | None = None
        self._pool: Any = None

    def renewed(self) -> "CudaRecorder":
        """One with a pool of its own; that of the old one is free when its recordings are."""
        return CudaRecorder()

    def __call__(
        self, function: Callable[..., Tensor], inputs: tuple[Tensor, ...]
    ) -> Callable[..., Tensor]:
        """A CUDA graph that reads its own copies of the inputs and writes its own output.

        Raises:
            RuntimeError: the function cannot be recorded, or memory ran out; afterwards the
                allocator is as it was before.
        """
        with RECORDING, torch.cuda.device(inputs[0].device):
            self._stream = self._stream or torch.cuda.Stream()
            self._pool = self._pool or torch.cuda.graph_pool_handle()
            own = tuple(tensor.clone() for tensor in inputs)
            self._stream.wait_stream(torch.cuda.current_stream())
            # torch.cuda.graph does not restore the stream when a capture fails; this block does
            with torch.cuda.stream(self._stream):
                function(*own)  # the first call on a stream initialises libraries: not captured
                torch.cuda.empty_cache()
                before = torch.cuda.memory_reserved()
                graph = torch.cuda.CUDAGraph()
                try:
                    with torch.cuda.graph(
                        graph, self._pool, self._stream, capture_error_mode="thread_local"
                    ):
                        output = function(*own)
                except BaseException:
                    self._abandon(graph)
                    with suppress(RuntimeError):
                        _capture_copy(own[0])
                    raise
                self.nbytes += max(0, torch.cuda.memory_reserved() - before)
            torch.cuda.current_stream().wait_stream(self._stream)

        def replay(*given: Tensor) -> Tensor:
            for mine, new in zip(own, given, strict=True):
                mine.copy_(new)
            graph.replay()
            return output.clone()

        return replay

    def _abandon(self, graph: torch.cuda.CUDAGraph) -> None:
        """End a failed capture in the allocator.

        In many versions of PyTorch `CUDAGraph.capture_end` raises before it ends the pool. From
        then on the allocator would believe that a capture is in progress: `empty_cache` asserts,
        and further captures to the pool fail. Later recordings use another pool and stream.
        """
        _ABANDONED.append(graph)
        pool, device = self._pool, torch.cuda.current_device()
        self._pool = self._stream = None
        with suppress(RuntimeError):
            graph.reset()
        try:
            torch._C._cuda_endAllocateToPool(device, pool)
        except RuntimeError:
            return  # this PyTorch has ended the pool itself, and released it with the graph
        torch._C._cuda_releasePool(device, pool)


def _capture_copy(tensor: Tensor) -> None:
    """Capture something that cannot fail, which gives PyTorch's generator its state back.

    A capture begins by telling the GPU's generator of random numbers, and tells it of its end only
    if it succeeds. Until the next one does, versions before 2.13 refuse to replay any graph,
    whether or not it draws random numbers. Source: `CUDAGeneratorState::replay_prologue`.
    """
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(
        graph,
        torch.cuda.graph_pool_handle(),
        torch.cuda.Stream(),
        capture_error_mode="thread_local",
    ):
        tensor.clone()
    graph.reset()
