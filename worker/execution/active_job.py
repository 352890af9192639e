"""A job while it runs, and how other threads stop it."""

from dataclasses import dataclass, field

from jobs.records.claim import Claim, ClaimStatus
from worker.errors import JobStopped, StopReason
from worker.execution.progress_clock import ProgressClock

_STRENGTH = {reason: strength for strength, reason in enumerate(reversed(StopReason))}


@dataclass(eq=False)
class ActiveJob:
    """A claimed job that a thread of this worker executes.

    Other threads call `stop` or `apply`; the executing thread calls `check`, which never blocks.

    Attributes:
        clock: when the job last progressed, and whether it hangs.
    """

    claim: Claim
    clock: ProgressClock = field(default_factory=ProgressClock, init=False)
    _reason: StopReason | None = field(default=None, init=False)

    def stop(self, reason: StopReason) -> None:
        """Make the next `check` raise. A stronger reason replaces a weaker one."""
        if self._reason is None or _STRENGTH[reason] > _STRENGTH[self._reason]:
            self._reason = reason

    def apply(self, status: ClaimStatus) -> None:
        """Stop if the status of the claim demands it."""
        if status is ClaimStatus.CANCEL:
            self.stop(StopReason.CANCELLED)
        elif status is ClaimStatus.LOST:
            self.stop(StopReason.LOST)

    @property
    def renewable(self) -> bool:
        """Whether this worker may keep the job's lease.

        The lease of a job that hangs must expire. So must that of a cancelled one: if its thread
        hangs, too, a reaper ends the job.
        """
        return not self.clock.hung and self._reason in (None, StopReason.HAND_BACK)

    def check(self) -> None:
        """Note that the job progresses. Raises JobStopped once the job has been stopped."""
        self.clock.note()
        if self._reason is not None:
            raise JobStopped(self._reason)
