"""When a job last progressed, and until when it must have ended."""

import time

_PIXELS = 1024 * 1024
_MARGIN = 10


class ProgressClock:
    """The progress of a job, noted by the thread that executes it and read by the watchdog.

    Progress is whatever the job itself does: an evaluation of the network, a part of a model that
    is loaded, a tile that is upscaled, an image that is stored. A thread that lives proves nothing.

    Attributes:
        hung: set by the watchdog, which gives the job up.
    """

    def __init__(self) -> None:
        self.hung = False
        self._progressed = self._started = time.monotonic()
        self._share = 0.0
        self._expected = 0.0
        self._scale = 1.0

    @property
    def silent_seconds(self) -> float:
        """The time since the last progress."""
        return time.monotonic() - self._progressed

    def note(self) -> None:
        """The job has progressed. Costs no more than reading a clock."""
        self._progressed = time.monotonic()

    def note_loading(self) -> None:
        """The job waits for its model: its deadline counts from the end of that."""
        self._progressed = self._started = time.monotonic()

    def note_share(self, share: float) -> None:
        """The job has progressed to this share of its work, 0..1, which tells its rate."""
        self._progressed = now = time.monotonic()
        if share > self._share:
            self._share = share
            self._expected = max(self._expected, (now - self._started) / share)

    def forgive(self, seconds: float) -> None:
        """Do not count so many of the last seconds, in which the whole process could not run."""
        now = time.monotonic()
        self._progressed = min(now, self._progressed + seconds)
        self._started = min(now, self._started + seconds)

    def expect_batches_of(self, pixels: int) -> None:
        """The largest batch of the job: above a megapixel an evaluation may take longer."""
        self._scale = max(1.0, pixels / _PIXELS)

    def problem(self, progress_seconds: float, deadline_seconds: float) -> str:
        """What is wrong with the job, as a clause; empty while nothing is.

        Args:
            progress_seconds: the longest time without progress, for a batch of up to a megapixel.
            deadline_seconds: the shortest deadline; the deadline is ten times the time that the
                job's work takes at its own measured rate, if that is longer.
        """
        silent, allowed = self.silent_seconds, progress_seconds * self._scale
        if silent > allowed:
            return f"has not progressed for {silent:.0f} s; allowed: {allowed:.0f} s"
        elapsed = time.monotonic() - self._started
        deadline = max(deadline_seconds, _MARGIN * self._expected)
        if elapsed > deadline:
            return f"has run for {elapsed:.0f} s; deadline: {deadline:.0f} s"
        return ""
