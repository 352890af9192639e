"""The fields of a multipart/form-data body (RFC 7578), parsed from bytes that are in memory."""

from io import BytesIO

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import MultiPartParser

from api.errors import UnreadableBody

Form = dict[str, list[str | bytes]]
"""The values of each name: text, and the content of files, which come first."""

MIME_TYPE = "multipart/form-data"
MAX_PARTS = 200
MAX_NAME = 256


def parse_form(body: bytes | bytearray, boundary: str) -> Form:
    """The fields of a body. Raises UnreadableBody.

    Args:
        body: the whole of it.
        boundary: the parameter of its Content-Type.
    """
    parser = MultiPartParser(_in_memory, max_form_parts=MAX_PARTS)
    try:
        texts, files = parser.parse(BytesIO(body), boundary.encode(), len(body))
    except RequestEntityTooLarge as error:
        raise UnreadableBody(f"the body has more than {MAX_PARTS} parts") from error
    except ValueError as error:
        raise UnreadableBody(f"the body is not valid {MIME_TYPE}: {error}") from error
    form: Form = {}
    for name, file in files.items(multi=True):
        form.setdefault(_checked(name), []).append(file.stream.read())
    for name, text in texts.items(multi=True):
        form.setdefault(_checked(name), []).append(text)
    return form


def boundary_of(request: Request) -> str:
    """The boundary between the parts. Raises UnreadableBody."""
    boundary = request.mimetype_params.get("boundary", "")
    if not boundary.isascii() or not 0 < len(boundary) <= 200:
        raise UnreadableBody(f"the Content-Type {MIME_TYPE} has no valid boundary")
    return boundary


def _in_memory(*_: object, **__: object) -> BytesIO:
    return BytesIO()


def _checked(name: str | None) -> str:
    if not name or len(name) > MAX_NAME:
        raise UnreadableBody(f"a part of the body has no name, or one of over {MAX_NAME} bytes")
    return name
