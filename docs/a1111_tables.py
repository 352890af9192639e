"""The fields of AUTOMATIC1111's dialect, as docs/automatic1111.md shows them."""

import json
from collections.abc import Collection

from api.dialects.a1111.fields import Field
from api.dialects.a1111.fields_common import COMMON
from api.dialects.a1111.fields_extras import BATCH_FIELDS, SINGLE_FIELDS
from api.dialects.a1111.fields_img2img import IMG2IMG_FIELDS
from api.dialects.a1111.fields_txt2img import TXT2IMG_FIELDS
from jobs.parameters.schemas import SCHEMAS, fields_of

NATIVE = frozenset(
    name
    for of_types in SCHEMAS.values()
    for schema in of_types.values()
    for name in fields_of(schema)
)


def common_fields() -> str:
    """The fields of txt2img and img2img."""
    return _table(COMMON)


def txt2img_fields() -> str:
    """The fields of txt2img alone."""
    return _table([field for field in TXT2IMG_FIELDS if field not in COMMON])


def img2img_fields() -> str:
    """The fields of img2img alone."""
    return _table([field for field in IMG2IMG_FIELDS if field not in COMMON])


def extras_fields() -> str:
    """The fields of both routes of extras."""
    return _table({field.name: field for field in (*SINGLE_FIELDS, *BATCH_FIELDS)}.values())


def _table(fields: Collection[Field]) -> str:
    rows = ["| field | default | meaning | here |", "|---|---|---|---|"]
    rows += [
        f"| `{field.name}` | `{json.dumps(field.default)}` | {field.means} | {_here(field)} |"
        for field in fields
    ]
    return "\n".join(rows)


def _here(field: Field) -> str:
    if field.native in NATIVE:
        return f"`{field.native}`" + (f", with `{field.needs}`" if field.needs else "")
    if field.followed and not field.native and not field.instead:
        return "followed"
    return "a warning" + (f": {field.instead}" if field.instead else "")
