import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from jobs.logs import LogFormat, configure_logging


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_an_event_is_one_line_with_its_job(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "json")
    with structlog.contextvars.bound_contextvars(job="some-id"):
        structlog.get_logger("test").info("job claimed", type="standard")
        logging.getLogger("elsewhere").warning("disk at %d %%", 90)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["job claimed", "disk at 90 %"]
    assert [line["job"] for line in lines] == ["some-id", "some-id"]


def test_text_lines_can_be_read_and_cut_apart(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging()
    structlog.get_logger("test").info("a line\nbreak", type="standard")
    (line,) = capsys.readouterr().err.splitlines()
    assert 'event="a line\\nbreak" type=standard' in line


EVIL = [chr(code) for code in (*range(32), *range(0x7F, 0xA0))] + [
    *"\u2028\u2029\u202e\u2066\u200f\u200b\ufeff\xad",
    "\ud800",
    "\U000e0041",
    "\r\n2026-11-29 [critical] the queue is lost",
    "\x1b]0;title\x07",
]


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_control_character_reaches_a_line(
    capsys: pytest.CaptureFixture[str], log_format: LogFormat
) -> None:
    configure_logging("INFO", log_format)
    structlog_log, library_log = structlog.get_logger("test"), logging.getLogger("library")
    for evil in EVIL:
        structlog_log.info(f"event {evil}", value=f"a{evil}b", values=[evil])
        library_log.warning("path %s", f"/{evil}")
        try:
            raise ValueError(evil)
        except ValueError:
            library_log.exception("failed")

    lines = capsys.readouterr().err.split("\n")
    assert len(lines) == 3 * len(EVIL) + 1
    assert [line for line in lines if not line.isprintable()] == []
    if log_format == "json":
        events = [json.loads(line) for line in lines[:-1]]
        assert [event["event"] for event in events[::3]] == [f"event {evil}" for evil in EVIL]


def test_letters_of_all_languages_stay_readable(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging()
    structlog.get_logger("test").info("дракон 龍 🐉 é")
    assert "дракон 龍 🐉 é" in capsys.readouterr().err
