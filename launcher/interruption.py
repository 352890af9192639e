"""Turns SIGINT, SIGTERM and SIGHUP into an exception that code which waits can expect.

No Python code runs in a handler: C writes the signal's number into a pipe, on which `pause` waits.
A handler that took a lock, as `threading.Event.set` does, would wait for ever when it interrupts
the code that holds it: `pause`, or the handler of the signal before it.
"""

import os
import select
import signal

from launcher.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Handles the signals from its construction to the end of the process. Main thread only.

    The handlers stay while the services are being stopped, so that a second Ctrl-C does not leave
    some of them running.
    """

    def __init__(self) -> None:
        # Nobody reads the pipe: after the first signal it stays readable.
        self._received, write = os.pipe()
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        for number in SIGNALS:
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue  # nohup: keep running after the terminal closes
            signal.signal(number, lambda *_: None)

    def pause(self, seconds: float) -> None:
        """Sleep, or raise Interrupted as soon as a signal arrives."""
        received, _, _ = select.select([self._received], [], [], seconds)
        if received:
            raise Interrupted
