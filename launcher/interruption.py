"""Ctrl-C, SIGTERM and a closed terminal, as something that can be waited for."""

import signal
import threading

from launcher.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Catches the signals that ask us to end, from its making to the end of the process.

    They stay caught while the services are being ended, so that an impatient second Ctrl-C does
    not leave half of them behind.
    """

    def __init__(self) -> None:
        self._asked = threading.Event()
        for number in SIGNALS:
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue  # nohup: it is to outlive the terminal
            signal.signal(number, lambda *_: self._asked.set())

    def pause(self, seconds: float) -> None:
        """Sleep so long, or raise Interrupted as soon as the end is asked for."""
        if self._asked.wait(seconds):
            raise Interrupted
