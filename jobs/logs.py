"""Logs: one line an event, structured, with the job's id all the way through.

What belongs to a job is bound once, with `structlog.contextvars.bound_contextvars(job=...)`, and
stands in every line of its thread. Prompts are told at debug only, keys never.
"""

import logging
import sys
import threading
from types import TracebackType
from typing import Literal

import structlog
from structlog.typing import Processor

log = structlog.get_logger(__name__)

LogFormat = Literal["text", "json"]

# Celery tells each message twice; the worker's own events say it once, with the job's id.
_CHATTY = ("celery.app.trace", "celery.worker.strategy", "kombu", "celery.redirected")
# What libraries say at DEBUG is not ours to vouch for: botocore's tells how requests are signed.
_WORDY = ("botocore", "aiobotocore", "s3fs", "fsspec", "urllib3", "asyncio", "PIL")


def configure_logging(level: str = "INFO", log_format: LogFormat = "text") -> None:
    """Send structlog's events and everybody else's log records to stderr, in one form.

    Args:
        level: DEBUG, INFO, WARNING or ERROR.
        log_format: `text` is `key=value` for people, `json` an object a line for machines.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if log_format == "json":
        shared.append(structlog.stdlib.add_logger_name)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.processors.LogfmtRenderer(
            key_order=["timestamp", "level", "event", "job"], drop_missing=True
        )
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in _WORDY:
        logging.getLogger(name).setLevel(max(logging.INFO, root.level))
    logging.captureWarnings(True)
    sys.excepthook = _log_the_end
    threading.excepthook = _log_the_end_of_a_thread


def _log_the_end(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """What nobody caught is one line, too."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
        return
    log.critical("the process failed", exc_info=(kind, error, traceback))


def _log_the_end_of_a_thread(ended: threading.ExceptHookArgs) -> None:
    name = ended.thread.name if ended.thread else ""
    log.error("a thread failed", thread=name, exc_info=ended.exc_value)
