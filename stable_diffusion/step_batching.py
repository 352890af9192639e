"""Step-level batching: jobs that run at once share the evaluations of one network.

Each job runs its own sampler, with its own steps, scale and prompt, and meets the others where the
network is asked: the UNet takes a timestep and a conditioning for every latent. Whoever comes when
the network is free evaluates for all who wait; who comes late joins at the next evaluation.
Sources: Yu et al. 2022 (Orca, iteration-level scheduling); design.md's seam `denoise(x, sigma)`.

A latent's result depends in its last bits on the batch it was computed in. A job that must come
out the same to the bit stays alone.
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

from stable_diffusion.guidance import Network

Kind = Hashable
"""What latents must have in common to go through the network together."""
_PATIENCE = 0.25
"""Of the time of an evaluation, how much is waited for others who are on their way."""
MOST_ROWS = 32


@dataclass(eq=False)
class PendingCall:
    """One call of the network, waiting to be evaluated."""

    kind: Kind
    arguments: tuple[Tensor, Tensor, Tensor]
    turn: threading.Event = field(default_factory=threading.Event)
    leads: bool = False
    answer: Tensor | Exception | None = None

    @property
    def rows(self) -> int:
        return len(self.arguments[0])


class StepBatcher:
    """The jobs that draw with one network at this moment. Safe to share between threads.

    Args:
        max_concurrent: how many evaluations run at once: one on a GPU; on a CPU as many as there
            are cores for the threads of one evaluation.
        most_rows: latents that go through the network together, at the most. One call of more goes
            as it is.
    """

    def __init__(self, max_concurrent: int = 1, most_rows: int = MOST_ROWS) -> None:
        self.max_concurrent = max_concurrent
        self._most_rows = most_rows
        self._changed = threading.Condition()
        self._members: Counter[Kind] = Counter()
        self._waiting: list[PendingCall] = []
        self._evaluating = 0
        self._seconds: dict[Kind, float] = {}
        self.evaluations = 0

    @contextmanager
    def joined(self, network: Network, kind: Kind) -> Iterator[Network]:
        """A network that is asked together with the others' of this kind, for a `with` block.

        Args:
            network: as `guidance.Network`; of all who give the same kind, the same in effect.
        """
        with self._changed:
            self._members[kind] += 1
        try:
            yield partial(self._ask, network, kind)
        finally:
            with self._changed:
                self._members[kind] -= 1
                if not self._members[kind]:
                    del self._members[kind]
                    self._seconds.pop(kind, None)
                # nobody shall wait for who does not come any more
                self._changed.notify_all()

    def _ask(
        self, network: Network, kind: Kind, x: Tensor, timesteps: Tensor, conditioning: Tensor
    ) -> Tensor:
        guest = PendingCall(kind, (x, timesteps, conditioning))
        with self._changed:
            self._waiting.append(guest)
            if self._evaluating < self.max_concurrent:
                self._evaluating += 1
                guest.leads = True
            self._changed.notify_all()
        if not guest.leads:
            guest.turn.wait()
        if guest.leads:
            try:
                self._evaluate(network, self._gather(guest))
            finally:
                self._pass_on()
        if isinstance(guest.answer, Exception):
            raise guest.answer
        assert guest.answer is not None
        return guest.answer

    def _gather(self, leader: PendingCall) -> list[PendingCall]:
        """The leader, and who waits for the same kind of evaluation; waits a little for more."""
        patience = _PATIENCE * self._seconds.get(leader.kind, 0.0)
        with self._changed:
            self._changed.wait_for(lambda: self._enough(leader.kind), timeout=patience)
            party, rows = [leader], leader.rows
            for guest in self._waiting:
                fits = guest.kind == leader.kind and not guest.leads
                room = rows + guest.rows <= self._most_rows and len(party) < self._share(guest.kind)
                if fits and room:
                    party.append(guest)
                    rows += guest.rows
            self._waiting = [guest for guest in self._waiting if guest not in party]
            return party

    def _enough(self, kind: Kind) -> bool:
        present = [guest for guest in self._waiting if guest.kind == kind]
        return len(present) >= self._share(kind) or (
            sum(guest.rows for guest in present) >= self._most_rows
        )

    def _share(self, kind: Kind) -> int:
        """Of the members of a kind, how many a lane evaluates for."""
        return max(1, -(-self._members[kind] // self.max_concurrent))

    def _evaluate(self, network: Network, party: Sequence[PendingCall]) -> None:
        began = time.monotonic()
        try:
            if not _together(network, party):
                # what is too much together may do one by one, and nobody fails for another's sake
                for guest in party:
                    guest.answer = _alone(network, guest)
        finally:
            self._seconds[party[0].kind] = time.monotonic() - began
            self.evaluations += 1
            for guest in party:
                guest.turn.set()

    def _pass_on(self) -> None:
        """Let the first who waits lead the next evaluation."""
        with self._changed:
            following = next((guest for guest in self._waiting if not guest.leads), None)
            if following is None:
                self._evaluating -= 1
            else:
                following.leads = True
                following.turn.set()


def _together(network: Network, party: Sequence[PendingCall]) -> bool:
    """Answer all of them by one call; False if they may be answered one by one.

    The error is gone when this returns, and with it the frames that hold what took the memory.
    """
    calls = zip(*(guest.arguments for guest in party), strict=True)
    try:
        x, timesteps, conditioning = (torch.cat(tensors) for tensors in calls)
        answers = network(x, timesteps, conditioning).split([guest.rows for guest in party])
    except Exception:
        if len(party) == 1:
            raise
        return False
    for guest, answer in zip(party, answers, strict=True):
        guest.answer = answer
    return True


def _alone(network: Network, guest: PendingCall) -> Tensor | Exception:
    try:
        return network(*guest.arguments)
    except Exception as error:  # noqa: BLE001 - raised in the thread of the job it belongs to
        return error
