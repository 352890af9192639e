"""Tells whether a request has arrived completely, before a thread reads it."""

import re

# More digits than that Python, and with it gunicorn, does not read.
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,4300})[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_CONTINUE = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*\r\n", re.IGNORECASE)
_CHUNK_SIZE = re.compile(rb"[0-9a-fA-F]+")
_END = b"\r\n\r\n"


class RequestFraming:
    """Where the head and the body of one request end (RFC 9112, sections 6 and 7).

    gunicorn parses the same bytes afterwards and judges them. What is not valid HTTP therefore
    counts as complete: gunicorn refuses it without reading on. What gunicorn would read on for must
    not: a thread would wait for the client.
    """

    def __init__(self) -> None:
        self._head_end = 0
        self._body_end = 0
        self._chunked = False
        self._scanned = 0
        self.expects_continue = False

    @property
    def has_head(self) -> bool:
        """Whether all headers have arrived."""
        return self._head_end > 0

    def complete(self, received: bytes | bytearray) -> bool:
        """Whether `received`, which only grows from call to call, holds a whole request."""
        if not self.has_head and not self._find_head(received):
            return False
        return self._ends_in_chunks(received) if self._chunked else len(received) >= self._body_end

    def _find_head(self, received: bytes | bytearray) -> bool:
        end = received.find(_END, max(0, self._scanned - len(_END)))
        self._scanned = len(received)
        if end < 0:
            return False
        self._head_end = self._body_end = self._scanned = end + len(_END)
        head = bytes(received[: self._head_end])
        length = _CONTENT_LENGTH.search(head)
        self._chunked = _CHUNKED.search(head) is not None and length is None  # both: not valid
        if length and _CHUNKED.search(head) is None:
            self._body_end += int(length[1])
        line = head.lstrip(b"\r\n").partition(b"\r\n")[0]
        # HTTP/1.0 has no 1xx answers (RFC 9110, section 10.1.1).
        self.expects_continue = not line.endswith(b"/1.0") and _CONTINUE.search(head) is not None
        return True

    def _ends_in_chunks(self, received: bytes | bytearray) -> bool:
        """Go on from the first line of a chunk that was not there at the last call."""
        while True:
            end = received.find(b"\r\n", self._scanned)
            if end < 0:
                return False
            size, _, _ = bytes(received[self._scanned : end]).partition(b";")
            if not _CHUNK_SIZE.fullmatch(size.strip()):
                return True
            if not int(size, 16):
                return received.find(_END, end) >= 0
            self._scanned = end + 2 + int(size, 16) + 2
