"""The progress of a job that waits for its models."""

from collections.abc import Sequence
from itertools import accumulate

from worker.models.model_loader import OnProgress


class LoadingProgress:
    """One share of models that are loaded one after the other. It never falls.

    Args:
        on_progress: called with the share of all of them, 0..1; what it raises is passed on.
        sizes: what each has to load, in proportion; if all are 0, each counts as much.
    """

    def __init__(self, on_progress: OnProgress, sizes: Sequence[int]) -> None:
        self._on_progress = on_progress
        whole = sum(sizes)
        self._parts = [size / whole if whole else 1 / len(sizes) for size in sizes]
        self._before = [0.0, *accumulate(self._parts)]
        self._share = 0.0

    def of(self, index: int) -> OnProgress:
        """What to call with the share of one model that is loaded, 0..1."""

        def report(share: float) -> None:
            now = self._before[index] + self._parts[index] * share
            self._share = min(1.0, max(self._share, now))
            self._on_progress(self._share)

        return report
