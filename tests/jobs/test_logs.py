import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from jobs.logs import configure_logging


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
