"""Turns SIGINT, SIGTERM and SIGHUP into an event that code can wait for."""

import signal
import threading

from launcher.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Handles the signals from its construction to the end of the process.

    The handlers stay while the services are being stopped, so that a second Ctrl-C does not leave
    some of them running.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        for number in SIGNALS:
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue  # nohup: keep running after the terminal closes
            signal.signal(number, lambda *_: self._event.set())

    def pause(self, seconds: float) -> None:
        """Sleep, or raise Interrupted as soon as a signal arrives."""
        if self._event.wait(seconds):
            raise Interrupted
