"""Step-level batching: concurrent jobs share evaluations of one network.

Each job runs its own sampler with its own steps, scale and prompt; only the calls of the network
are batched, which takes a timestep and a conditioning for every latent. The first call to find the
network free evaluates for all that wait; a call that comes during an evaluation joins the next one.
Source: Yu et al. 2022 (Orca), iteration-level scheduling.

The low-order bits of a latent depend on the batch it was computed in. A job whose picture must be
reproducible to the bit runs unbatched.
"""

import threading
import time
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from stable_diffusion.conditioning import Conditioning, Network

BatchKey = Hashable
"""Calls of equal keys can be evaluated in one batch."""
MAX_ROWS = 32
_WAIT_SHARE = 0.25
"""The share of an evaluation's time for which a batch waits for further calls."""


@dataclass(eq=False)
class PendingCall:
    """A call of the network that waits for its evaluation.

    Attributes:
        ready: set once there is a result, or the calling thread is to evaluate a batch itself.
        leads: whether the calling thread evaluates a batch for itself and others.
    """

    key: BatchKey
    arguments: tuple[Tensor, Tensor, Conditioning]
    ready: threading.Event = field(default_factory=threading.Event)
    leads: bool = False
    result: Tensor | Exception | None = None

    @property
    def rows(self) -> int:
        """The latents of the call."""
        return len(self.arguments[0])


class StepBatcher:
    """Batches the calls of one model's network. Safe to share between threads.

    Args:
        max_concurrent: how many evaluations run at once: one on a GPU; on a CPU as many as there
            are cores for the threads of one evaluation.
        max_rows: latents of a batch. A single call with more is evaluated as it is.

    Attributes:
        evaluations: how many batches were evaluated so far.
    """

    def __init__(self, max_concurrent: int = 1, max_rows: int = MAX_ROWS) -> None:
        self.max_concurrent = max_concurrent
        self.evaluations = 0
        self._max_rows = max_rows
        self._changed = threading.Condition()
        self._jobs: Counter[BatchKey] = Counter()
        self._pending: list[PendingCall] = []
        self._evaluating = 0
        self._seconds: dict[BatchKey, float] = {}

    @contextmanager
    def batched(self, network: Network, key: BatchKey) -> Iterator[Network]:
        """The network with its calls batched with those of other jobs, for a `with` block.

        Args:
            network: jobs with the same key must give equivalent ones, since one of them evaluates
                the batch.
            key: equal for jobs whose calls can be evaluated together.
        """
        with self._changed:
            self._jobs[key] += 1
        try:
            yield partial(self._call, network, key)
        finally:
            with self._changed:
                self._jobs[key] -= 1
                if not self._jobs[key]:
                    del self._jobs[key]
                    self._seconds.pop(key, None)
                # a batch that waits for this job's next call must not wait any longer
                self._changed.notify_all()

    def _call(
        self, network: Network, key: BatchKey, x: Tensor, timesteps: Tensor, text: Conditioning
    ) -> Tensor:
        call = PendingCall(key, (x, timesteps, text))
        with self._changed:
            self._pending.append(call)
            if self._evaluating < self.max_concurrent:
                self._evaluating += 1
                call.leads = True
            self._changed.notify_all()
        if not call.leads:
            call.ready.wait()
        if call.leads:
            try:
                self._evaluate(network, self._gather(call))
            finally:
                self._hand_over()
        if isinstance(call.result, Exception):
            raise call.result
        assert call.result is not None
        return call.result

    def _gather(self, leader: PendingCall) -> list[PendingCall]:
        """The leader and pending calls of its key, after a short wait for more of them."""
        timeout = _WAIT_SHARE * self._seconds.get(leader.key, 0.0)
        with self._changed:
            self._changed.wait_for(lambda: self._is_full(leader.key), timeout=timeout)
            batch, rows = [leader], leader.rows
            for call in self._pending:
                matches = call.key == leader.key and not call.leads
                fits = rows + call.rows <= self._max_rows and len(batch) < self._share(call.key)
                if matches and fits:
                    batch.append(call)
                    rows += call.rows
            self._pending = [call for call in self._pending if call not in batch]
            return batch

    def _is_full(self, key: BatchKey) -> bool:
        calls = [call for call in self._pending if call.key == key]
        rows = sum(call.rows for call in calls)
        return len(calls) >= self._share(key) or rows >= self._max_rows

    def _share(self, key: BatchKey) -> int:
        """Jobs of a key per concurrent evaluation, rounded up."""
        return max(1, -(-self._jobs[key] // self.max_concurrent))

    def _evaluate(self, network: Network, batch: Sequence[PendingCall]) -> None:
        began = time.monotonic()
        try:
            if not _evaluated_together(network, batch):
                # a batch may exceed the memory where its calls do not; and one call that fails
                # must not fail the others
                for call in batch:
                    call.result = _evaluated_alone(network, call)
        finally:
            self._seconds[batch[0].key] = time.monotonic() - began
            self.evaluations += 1
            for call in batch:
                call.ready.set()

    def _hand_over(self) -> None:
        """Have the thread of the oldest pending call evaluate the next batch."""
        with self._changed:
            following = next((call for call in self._pending if not call.leads), None)
            if following is None:
                self._evaluating -= 1
            else:
                following.leads = True
                following.ready.set()


def _evaluated_together(network: Network, batch: Sequence[PendingCall]) -> bool:
    """Evaluate all calls as one; False if that failed and there are several.

    The error is dropped on return, and with it the frames that keep its memory allocated.
    """
    x, timesteps, conditionings = zip(*(call.arguments for call in batch), strict=True)
    try:
        joined = torch.cat(x), torch.cat(timesteps), Conditioning.cat(conditionings)
        results = network(*joined).split([call.rows for call in batch])
    except Exception:
        if len(batch) == 1:
            raise
        return False
    for call, result in zip(batch, results, strict=True):
        call.result = result
    return True


def _evaluated_alone(network: Network, call: PendingCall) -> Tensor | Exception:
    try:
        return network(*call.arguments)
    except Exception as error:  # noqa: BLE001 - raised in the thread of its own job
        return error
