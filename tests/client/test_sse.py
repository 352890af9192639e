"""The parser of event streams, for all ways to split a stream."""

import json
from typing import Any

import pytest

from sd_client.sse import Heartbeat, Message, Retry, parse

STREAM = (
    ": hello\n"
    "retry: 2500\n\n"
    "id: 7\nevent: step\ndata: one\u2028line\n\n"
    "data:no blank\ndata:  two blanks\n\n"
    "event: nothing\n\n"
    "unknown: field\nretry: soon\nid: 8\ndata: last\n\n"
)
EXPECTED = [
    Heartbeat(),
    Retry(2.5),
    Message("step", "one\u2028line", "7"),
    Message("message", "no blank\n two blanks", "7"),
    Message("message", "last", "8"),
]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("length", [1, 2, 3, 7, 1000])
def test_splits_and_line_ends_do_not_change_the_result(end: str, length: int) -> None:
    text = STREAM.replace("\n", end)
    pieces = [text[at : at + length] for at in range(0, len(text), length)]

    assert list(parse(pieces)) == EXPECTED


def test_an_incomplete_message_is_dropped() -> None:
    assert list(parse(["data: whole\n\n", "data: broken o"])) == [Message("message", "whole", "")]


def test_a_byte_order_mark_is_no_part_of_the_stream() -> None:
    assert list(parse(["\ufeffdata: x\n\n"])) == [Message("message", "x", "")]


def test_json_in_one_line_comes_out_whole() -> None:
    sent: dict[str, Any] = {"Status": "a: b\r\nc", "prompt": "дракон"}

    (message,) = parse([f"data: {json.dumps(sent, ensure_ascii=False)}\n\n"])

    assert isinstance(message, Message)
    assert json.loads(message.data) == sent
