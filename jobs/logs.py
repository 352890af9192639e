"""Structured logs, one line per event, each with the id of its job.

`structlog.contextvars.bound_contextvars(job=...)` binds the id once for all lines of a thread.
Prompts are logged at debug only, API keys never.
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

# Celery logs each message twice; the worker's own events log it once, with the job's id.
_WARNINGS_ONLY = ("celery.app.trace", "celery.worker.strategy", "kombu", "celery.redirected")
# Debug logs of libraries may contain secrets: botocore logs how requests are signed.
_NO_DEBUG = ("botocore", "aiobotocore", "s3fs", "fsspec", "urllib3", "asyncio", "PIL")


def configure_logging(level: str = "INFO", log_format: LogFormat = "text") -> None:
    """Write structlog's events and the log records of libraries to stderr, in one format.

    Args:
        level: DEBUG, INFO, WARNING or ERROR.
        log_format: `text` is `key=value`; `json` is one object a line.
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
                lambda _logger, _method, line: printable(str(line)),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _WARNINGS_ONLY:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in _NO_DEBUG:
        logging.getLogger(name).setLevel(max(logging.INFO, root.level))
    logging.captureWarnings(True)
    sys.excepthook = _log_process_failure
    threading.excepthook = _log_thread_failure


def printable(text: str) -> str:
    """The text with escapes for what a terminal, or a reader of lines, would act on.

    Those are control characters, line separators, and characters that are invisible or turn the
    direction of the text: prompts, headers and file names may contain them.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    """As JSON writes it; as Python does beyond 16 bits, which a line of JSON has none of."""
    code = ord(char)
    return f"\\u{code:04x}" if code < 1 << 16 else f"\\U{code:08x}"


def _log_process_failure(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """Log an uncaught exception in the same format."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
        return
    log.critical("the process failed", exc_info=(kind, error, traceback))


def _log_thread_failure(ended: threading.ExceptHookArgs) -> None:
    name = ended.thread.name if ended.thread else ""
    log.error("a thread failed", thread=name, exc_info=ended.exc_value)
