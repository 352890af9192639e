"""One job while it runs: how other threads stop it."""

from dataclasses import dataclass, field

from jobs.claims import Claim, ClaimStatus
from worker.errors import JobStopped, StopReason

_STRENGTH = {reason: strength for strength, reason in enumerate(reversed(StopReason))}


@dataclass(eq=False)
class ActiveJob:
    """A claimed job in the hands of the thread that samples.

    Other threads call `stop` or `apply`; the sampling thread calls `check`, which never waits.
    """

    claim: Claim
    _reason: StopReason | None = field(default=None, init=False)

    def stop(self, reason: StopReason) -> None:
        """Make the next `check` raise. A stronger reason replaces a weaker one."""
        if self._reason is None or _STRENGTH[reason] > _STRENGTH[self._reason]:
            self._reason = reason

    def apply(self, hold: ClaimStatus) -> None:
        """Stop if the record says so."""
        if hold is ClaimStatus.CANCEL:
            self.stop(StopReason.CANCELLED)
        elif hold is ClaimStatus.LOST:
            self.stop(StopReason.LOST)

    def check(self) -> None:
        """Raise JobStopped once the job has been stopped."""
        if self._reason is not None:
            raise JobStopped(self._reason)
