"""The stream of events, however it is cut into pieces."""

import json
from typing import Any

import pytest

from sd_client.sse import Heartbeat, Message, Retry, parsed

STREAM = (
    ": hello\n"
    "retry: 2500\n\n"
    "id: 7\nevent: step\ndata: one\u2028line\n\n"
    "data:no blank\ndata:  two blanks\n\n"
    "event: nothing\n\n"
    "unknown: field\nretry: soon\nid: 8\ndata: last\n\n"
)
SAID = [
    Heartbeat(),
    Retry(2.5),
    Message("step", "one\u2028line", "7"),
    Message("message", "no blank\n two blanks", "7"),
    Message("message", "last", "8"),
]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("length", [1, 2, 3, 7, 1000])
def test_a_stream_says_the_same_however_it_is_cut_and_its_lines_end(end: str, length: int) -> None:
    text = STREAM.replace("\n", end)
    pieces = [text[at : at + length] for at in range(0, len(text), length)]

    assert list(parsed(pieces)) == SAID


def test_a_message_that_broke_off_is_not_told() -> None:
    assert list(parsed(["data: whole\n\n", "data: broken o"])) == [Message("message", "whole", "")]


def test_a_byte_order_mark_is_no_part_of_the_stream() -> None:
    assert list(parsed(["\ufeffdata: x\n\n"])) == [Message("message", "x", "")]


def test_json_in_one_line_comes_out_whole() -> None:
    said: dict[str, Any] = {"Status": "a: b\r\nc", "prompt": "дракон"}

    (message,) = parsed([f"data: {json.dumps(said, ensure_ascii=False)}\n\n"])

    assert isinstance(message, Message)
    assert json.loads(message.data) == said
