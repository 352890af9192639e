"""A recording that fails leaves PyTorch's allocator as it was.

The fake behaves as PyTorch's own source says of a GPU: `CUDAGraph.cpp`, `CUDACachingAllocator.cpp`,
`CUDAGeneratorImpl.cpp`.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from stable_diffusion.cuda import recorder as cuda_recorder
from stable_diffusion.cuda.recorder import CudaRecorder

Pool = tuple[int, int]


@dataclass
class FakeCuda:
    """A GPU's streams, its allocator's pools, and its generator of random numbers.

    `ends_pools`: as later versions of PyTorch, which clean up after a capture that failed.
    `generator_captures`: whether the generator is in capture mode.
    """

    ends_pools: bool = False
    generator_captures: bool = False
    streams: list[str] = field(default_factory=lambda: ["default"])
    made: int = 0
    capturing: list[Pool] = field(default_factory=list)
    users: dict[Pool, int] = field(default_factory=dict)

    def handle(self) -> Pool:
        self.made += 1
        return 0, self.made

    @contextmanager
    def stream(self, stream: "FakeStream") -> Iterator[None]:
        self.streams.append(stream.name)
        yield  # an exception leaves the stream, as torch.cuda.graph does
        self.streams.pop()

    def begin(self, pool: Pool) -> None:
        assert self.users.get(pool) != 0, "a released pool is not used again"
        assert pool not in self.capturing, "already recording to mempool_id"
        self.users[pool] = self.users.get(pool, 0) + 1
        self.capturing.append(pool)

    def end(self, _device: int, pool: Pool) -> None:
        if pool not in self.capturing:
            raise RuntimeError("endAllocatePool: not currently recording to mempool_id")
        self.capturing.remove(pool)

    def release(self, _device: int, pool: Pool) -> None:
        self.users[pool] -= 1
        assert self.users[pool] >= 0

    def empty_cache(self) -> None:
        assert not self.capturing, "captures_underway.empty() INTERNAL ASSERT FAILED"


@dataclass
class FakeStream:
    name: str = "recording"

    def wait_stream(self, _other: "FakeStream") -> None: ...


@dataclass
class FakeGraph:
    """A graph. The capture of a function that waits for the GPU fails when it ends."""

    cuda: FakeCuda
    pool: Pool = (0, 0)
    owns: bool = False
    broken: bool = False

    @contextmanager
    def captured(self, pool: Pool, stream: FakeStream) -> Iterator[None]:
        self.cuda.empty_cache()
        self.pool = pool
        with self.cuda.stream(stream):
            self.cuda.begin(pool)
            self.cuda.generator_captures = True
            try:
                yield
            except InterruptedError:
                self.broken = True
            if self.broken and not self.cuda.ends_pools:
                raise RuntimeError("CUDA error: operation failed due to a previous error")
            self.cuda.end(0, pool)
            self.owns = True
            if self.broken:
                raise RuntimeError("CUDA error: operation failed due to a previous error")
            self.cuda.generator_captures = False

    def reset(self) -> None:
        if self.owns:
            self.cuda.release(0, self.pool)
        self.owns = False

    def replay(self) -> None:
        assert not self.cuda.generator_captures, "Offset increment outside graph capture"


@pytest.fixture(params=[False, True], ids=["as today", "as later versions"])
def cuda(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    fake = FakeCuda(request.param)

    @contextmanager
    def stream(chosen: FakeStream) -> Iterator[None]:
        before = list(fake.streams)
        fake.streams.append(chosen.name)
        try:
            yield
        finally:
            fake.streams[:] = before

    for name, value in {
        "CUDAGraph": lambda: FakeGraph(fake),
        "graph": lambda graph, pool, stream, **_: graph.captured(pool, stream),
        "Stream": FakeStream,
        "current_stream": FakeStream,
        "stream": stream,
        "device": lambda _: nullcontext(),
        "current_device": lambda: 0,
        "graph_pool_handle": fake.handle,
        "memory_reserved": lambda: 1000 * sum(fake.users.values()),
        "empty_cache": fake.empty_cache,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", fake.end, raising=False)
    monkeypatch.setattr(torch._C, "_cuda_releasePool", fake.release, raising=False)
    return fake


INPUTS = (torch.ones(1, 2),)


def good(x: Tensor) -> Tensor:
    return x + 1


@dataclass
class WaitsForTheGpu:
    """Works when it runs, and cannot be captured."""

    called: int = 0

    def __call__(self, x: Tensor) -> Tensor:
        self.called += 1
        if self.called > 1:
            raise InterruptedError
        return x


def test_a_failed_recording_leaves_the_allocator_as_it_was(cuda: FakeCuda) -> None:
    recorder = CudaRecorder()
    replay = recorder(good, INPUTS)
    before = dict(cuda.users)
    with pytest.raises(RuntimeError, match="CUDA error"):
        recorder(WaitsForTheGpu(), INPUTS)
    assert {pool: users for pool, users in cuda.users.items() if users} == before
    replay(*INPUTS)
    assert cuda.streams == ["default"]
    torch.cuda.empty_cache()
    assert not cuda_recorder.RECORDING.locked()


def test_after_a_failed_recording_others_are_made(cuda: FakeCuda) -> None:
    recorder = CudaRecorder()
    for function in (WaitsForTheGpu(), WaitsForTheGpu()):
        with pytest.raises(RuntimeError, match="CUDA error"):
            recorder(function, INPUTS)
    assert recorder(good, INPUTS)(torch.zeros(1, 2)).tolist() == [[2, 2]], "of the first inputs"
    assert sum(cuda.users.values()) == 1


def test_recordings_share_a_pool_whose_size_is_known(cuda: FakeCuda) -> None:
    recorder = CudaRecorder()
    for _ in range(3):
        recorder(good, INPUTS)
    assert list(cuda.users.values()) == [3]
    assert recorder.nbytes == 3000
    assert recorder.renewed().nbytes == 0
