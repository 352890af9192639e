"""The pictures that a job starts from, by role. A new role is a row here and a field of a schema.

A role's picture comes as base64 in a field of the body, is checked when the request is read, lies
in the store while the job lives and is deleted when it ends.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from jobs.init_image import read_init_image

InputRole = Literal["init"]


@dataclass(frozen=True)
class InputField:
    """Where a role's picture comes from.

    Attributes:
        field: the request's field.
        read: from its base64 text, and the largest number of pixels, to the PNG that is stored.
            Raises PydanticCustomError.
    """

    field: str
    read: Callable[[str, int], bytes]


INPUT_ROLES: dict[InputRole, InputField] = {"init": InputField("init_img", read_init_image)}
INPUT_FIELDS: frozenset[str] = frozenset(row.field for row in INPUT_ROLES.values())
