"""The pictures that a job starts from, by role. A new role is a row here and a field of a schema.

The picture of a role is base64 in a field of the body. It is checked when the request is read, kept
in the store until the job ends, and then deleted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from jobs.pictures.init_image import read_init_image, read_mask

InputRole = Literal["init", "mask"]


@dataclass(frozen=True)
class InputField:
    """The field of a role's picture.

    Attributes:
        field: its name.
        read: takes its base64 text and the largest number of pixels, and returns the PNG to store.
            Raises PydanticCustomError.
    """

    field: str
    read: Callable[[str, int], bytes]


INPUT_ROLES: dict[InputRole, InputField] = {
    "init": InputField("init_img", read_init_image),
    "mask": InputField("mask", read_mask),
}
INPUT_FIELDS: frozenset[str] = frozenset(row.field for row in INPUT_ROLES.values())
