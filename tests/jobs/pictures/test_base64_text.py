"""Base64 as programs and people write it."""

import base64
import textwrap
from collections.abc import Callable

import pytest
from pydantic_core import PydanticCustomError

from jobs.pictures.base64_text import decode_base64

DATA = bytes(range(256)) * 3 + b"?>"
TEXT = base64.b64encode(DATA).decode()
URL_SAFE = base64.urlsafe_b64encode(DATA).decode()
SPELLINGS: dict[str, Callable[[], str]] = {
    "as it is": lambda: TEXT,
    "lines of 76": lambda: "\n".join(textwrap.wrap(TEXT, 76)),
    "lines of 76 with CRLF": lambda: "\r\n".join(textwrap.wrap(TEXT, 76)) + "\r\n",
    "indented lines of 64": lambda: textwrap.indent(textwrap.fill(TEXT, 64), "\t  "),
    "a newline after it": lambda: TEXT + "\n",
    "a space before it": lambda: " " + TEXT,
    "the URL-safe alphabet": lambda: URL_SAFE,
    "no padding": lambda: TEXT.rstrip("="),
    "URL-safe and no padding": lambda: URL_SAFE.rstrip("="),
    "percent-encoded": lambda: TEXT.replace("+", "%2B").replace("/", "%2f").replace("=", "%3D"),
    "data: of a PNG": lambda: "data:image/png;base64," + TEXT,
    "data: in upper case": lambda: "DATA:IMAGE/PNG;BASE64," + TEXT,
    "data: without a type": lambda: "data:;base64," + TEXT,
    "data: of any type": lambda: "data:application/octet-stream;base64," + TEXT,
    "data: with a parameter": lambda: "data:image/jpg;charset=utf-8;base64," + TEXT,
    "data: with a name": lambda: " data:image/png;name=a%20cat.png;base64, " + TEXT + "\n",
    "data: with a space before base64": lambda: "data:image/png; base64," + TEXT,
    "data: with a comma in its name": lambda: 'data:image/png;name="a,b.png";base64,' + TEXT,
    "a prefix without data:": lambda: "image/png;base64," + TEXT,
    "a byte order mark before it": lambda: "\ufeff" + TEXT,
    "a byte order mark before data:": lambda: "\ufeffdata:image/png;base64," + TEXT,
    "spaces of a web page": lambda: "\xa0" + TEXT[:8] + "\u200b" + TEXT[8:],
    "data: with lines, without padding": lambda: (
        "data:image/png;base64,\n" + "\n".join(textwrap.wrap(TEXT.rstrip("="), 76))
    ),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_base64_is_read_as_people_have_it(spelling: str) -> None:
    assert "+" in TEXT and "/" in TEXT and TEXT.endswith("=")
    assert decode_base64(SPELLINGS[spelling]()) == DATA


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("!!!!", "character 1 is '!'"),
        ("YWJj{ZGVm", "character 5 is '{'"),
        ("b'YWJj'", 'character 2 is "\'"'),
        ("data:image/png;base64,YWJj\\nYWJj", "character 27 is '\\\\'"),
        ("YWJjé", "character 5 is 'é'"),
        ("YWJj\ud800", "character 5 is '?'"),
        ("YWJj%zz", "character 5 is '%'"),
        ("YQ==junk", "character 4 is '=', and more text follows it"),
        ("YQ====", "more than two '='"),
        ("YWJjZ", "the last of its 5 characters is half a byte"),
        ("data:image/svg+xml,<svg/>", "is a data: URL without ;base64"),
        ("YWJj,YWJj", "character 5 is ','"),
        ("https://example.org/cat.png", "is an address, which is not fetched"),
    ],
)
def test_junk_is_refused_with_what_is_wrong_and_where(text: str, problem: str) -> None:
    with pytest.raises(PydanticCustomError) as caught:
        decode_base64(text)
    assert caught.value.type == "not_base64"
    assert problem in caught.value.message()
