"""Claims whose successful ends are measured."""

from typing import Any

from redis import Redis

from jobs.claims import Claim, Claims, ClaimStatus
from jobs.status import Result
from worker.background.metrics import WorkerMetrics


class MeasuredClaims(Claims):
    """The records as workers see them; a job that ended here with SUCCESS is measured.

    Args:
        redis: the Redis of the records.
        metrics: what is told of each.
        options: those of `Claims`.
    """

    def __init__(self, redis: Redis, metrics: WorkerMetrics, **options: Any) -> None:
        super().__init__(redis, **options)
        self._metrics = metrics

    def finish(self, claim: Claim, result: Result) -> ClaimStatus:
        hold = super().finish(claim, result)
        if hold is ClaimStatus.HELD:
            self._metrics.job_done(claim.type, result.timings)
        return hold
