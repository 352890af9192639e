"""What the launcher writes of its services' lines."""

import json

import pytest

from launcher.terminal import JsonLog, PrefixedLog

EVIL = "\x1b[2J\x07\u202e\u2028\x7f\x9b31m"


@pytest.mark.parametrize("line", [f"plain {EVIL}", json.dumps({"event": f"structured {EVIL}"})])
def test_no_control_character_of_a_service_is_passed_on(
    capsys: pytest.CaptureFixture[str], line: str
) -> None:
    PrefixedLog()("worker-1", line)
    JsonLog()("worker-1", line)

    text, as_json, rest = capsys.readouterr().out.split("\n")
    assert text.startswith("worker-1 |")
    assert text.isprintable()
    assert as_json.isprintable()
    assert EVIL in json.loads(as_json)["event"]
    assert rest == ""
