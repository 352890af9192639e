"""What a worker writes of its job, again and again while Redis is away."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from jobs.claims import ClaimStatus
from jobs.errors import RecordsUnavailable

log = structlog.get_logger(__name__)

_RETRY_SECONDS = 1.0


@dataclass(frozen=True)
class Pen:
    """Takes steps on the record.

    Attributes:
        patience_seconds: how long a step is tried again while Redis is away.
    """

    patience_seconds: float = 120.0

    def write(self, step: Callable[[], ClaimStatus], *, at_once: bool = False) -> ClaimStatus:
        """Take a step; `at_once`: try it only once.

        The lease may run out meanwhile; a step that comes too late is answered LOST.
        """
        until = time.monotonic() + (0 if at_once else self.patience_seconds)
        while True:
            try:
                return step()
            except RecordsUnavailable as error:
                if time.monotonic() > until:
                    log.error("the record could not be written", reason=str(error))
                    return ClaimStatus.LOST
            time.sleep(_RETRY_SECONDS)
