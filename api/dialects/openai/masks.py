"""The mask of an edit: OpenAI's is transparent where the image is generated anew."""

from collections.abc import Mapping
from typing import Any

from api.dialects.openai.images_of_edit import Picture
from jobs.errors import Fault, InvalidRequest


def mask_fields(mask: Picture, sent: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a job for a mask.

    That of a job with transparency is generated anew where it is opaque, so it is inverted.

    Args:
        mask: as it was sent.
        sent: the other fields, of which `mask_invert` inverts it once more.

    Raises:
        InvalidRequest: nothing in it is transparent.
    """
    if mask.has_transparency is False:
        fault = Fault(
            field=mask.field,
            code="no_transparency",
            value=None,
            problem="has no transparency",
            expected="a PNG that is transparent where the image is generated anew",
        )
        raise InvalidRequest((fault,))
    return {"mask": mask.text, "mask_invert": not sent.get("mask_invert", False)}
