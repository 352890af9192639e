"""The signal handlers of a worker process, in place of Celery's.

Celery's handlers print, call receivers and, at the second Ctrl-C, stop the pool: each takes locks,
which the code that the signal interrupted may hold, and then the worker never ends. After SIGHUP
Celery's worker starts again instead of ending. These handlers only set attributes.
"""

import faulthandler
import os
import signal
from collections.abc import Callable
from types import FrameType

from celery.worker import state as celery_state

_STOP = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)


def install_signal_handlers(begin: Callable[[], object]) -> None:
    """Shut down after SIGTERM, SIGINT, SIGQUIT and SIGHUP; dump all stacks after SIGUSR1.

    Args:
        begin: begins to shut down; takes no lock, and may be called more than once.
    """

    def stop(_signal: int, _frame: FrameType | None) -> None:
        begin()
        celery_state.should_stop = os.EX_OK  # Celery's main loop looks at it

    for number in _STOP:
        if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
            continue  # nohup
        signal.signal(number, stop)
    faulthandler.register(signal.SIGUSR1)
