"""When a request counts as complete, however it is cut into pieces."""

import pytest

from api.http.request_framing import RequestFraming

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"
WHOLE = {
    "no body": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "length": HEAD + b"content-LENGTH:  12 \r\n\r\n{\r\n\r\n0\r\n\r\n} ",
    "chunks": HEAD
    + b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\n\r\n\r\n.\r\nA\r\n0123456789\r\n0\r\n\r\n",
    "a long length": HEAD + b"Content-Length: 000000000000000000003\r\n\r\n{ }",
    "long chunk sizes": HEAD
    + b"Transfer-Encoding: chunked\r\n\r\n00000000000000000005\r\n12345\r\n"
    + b"00000000000000000000\r\n\r\n",
    "a long chunk line": HEAD
    + b"Transfer-Encoding: chunked\r\n\r\n1;a="
    + b"b" * 5000
    + b"\r\n.\r\n0\r\n\r\n",
    "trailers": HEAD + b"transfer-encoding: chunked\r\n\r\n1\r\n.\r\n000\r\nA: b\r\nC: d\r\n\r\n",
}
REFUSED_BY_GUNICORN = {
    "two framings": HEAD + b"Content-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a negative length": HEAD + b"Content-Length: -2\r\n\r\n",
    "no chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a negative chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n-5\r\n",
    "more digits than Python reads": HEAD + b"Content-Length: ".ljust(5000, b"1") + b"\r\n\r\n",
}


@pytest.mark.parametrize("request_", WHOLE.values(), ids=WHOLE)
@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_a_request_is_complete_with_its_last_byte_and_not_before(
    request_: bytes, step: int
) -> None:
    framing, received = RequestFraming(), bytearray()
    for start in range(0, len(request_), step):
        assert not framing.complete(received)
        received += request_[start : start + step]
    assert framing.complete(received)
    received += b"GET / HTTP/1.1\r\n"  # what comes next changes nothing
    assert framing.complete(received)


@pytest.mark.parametrize("request_", REFUSED_BY_GUNICORN.values(), ids=REFUSED_BY_GUNICORN)
def test_what_gunicorn_refuses_is_not_waited_for(request_: bytes) -> None:
    assert RequestFraming().complete(request_)


@pytest.mark.parametrize("value", ["100-continue", "100-CONTINUE"])
def test_a_client_that_waits_for_an_invitation_is_recognised(value: str) -> None:
    framing = RequestFraming()
    assert not framing.complete(HEAD + f"Expect: {value}\r\nContent-Length: 9\r\n\r\n".encode())
    assert framing.expects_continue and framing.has_head


def test_a_client_of_http_1_0_is_not_invited() -> None:
    framing = RequestFraming()
    head = HEAD.replace(b"HTTP/1.1", b"HTTP/1.0") + b"Expect: 100-continue\r\n"
    assert not framing.complete(head + b"Content-Length: 9\r\n\r\n")
    assert framing.has_head and not framing.expects_continue
