"""`make docs`: write what follows from the code.

The tables of docs/parameters.md, docs/operations.md and docs/automatic1111.md, .env.example, the
requests in docs/clients/ and the fields of the Python client. A table is the text between
`<!-- name -->` and `<!-- /name -->` of its page; tests/docs/test_generated.py fails when a file
differs from what this module would write.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from docs.a1111_tables import common_fields, extras_fields, img2img_fields, txt2img_fields
from docs.client_parameters import client_parameters
from docs.examples import examples, openapi
from docs.http_file import http_file
from docs.postman import collection
from docs.request_tables import (
    example_request,
    parameters,
    samplers,
    schedulers,
    upscale_parameters,
)
from docs.settings_tables import env_example, settings_table

ROOT = Path(__file__).resolve().parent.parent
ENV_EXAMPLE = ROOT / ".env.example"
POSTMAN = ROOT / "docs" / "clients" / "stable-diffusion.postman_collection.json"
CLIENT_FIELDS = ROOT / "client" / "sd_client" / "fields.py"
HTTP_FILE = ROOT / "docs" / "clients" / "stable-diffusion.http"
TABLES: Mapping[Path, Mapping[str, Callable[[], str]]] = {
    ROOT / "docs" / "parameters.md": {
        "parameters": parameters,
        "samplers": samplers,
        "schedulers": schedulers,
        "example": example_request,
        "upscale": upscale_parameters,
    },
    ROOT / "docs" / "operations.md": {"settings": settings_table},
    ROOT / "docs" / "automatic1111.md": {
        "common": common_fields,
        "txt2img": txt2img_fields,
        "img2img": img2img_fields,
        "extras": extras_fields,
    },
}


def with_tables(page: str, tables: Mapping[str, Callable[[], str]]) -> str:
    """A page's text with its tables as the code defines them now.

    Raises:
        ValueError: the page does not have exactly one pair of markers for each table.
    """
    for name, table in tables.items():
        block = re.compile(f"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        text = table()
        page, found = block.subn(lambda match, text=text: f"{match[1]}{text}\n{match[2]}", page)
        if found != 1:
            raise ValueError(f"expected one table {name!r} in the page, found {found}")
    return page


def generated() -> dict[Path, str]:
    """Every generated file with the text that it should have."""
    pages = {path: with_tables(path.read_text(), tables) for path, tables in TABLES.items()}
    requests = list(examples(openapi()))
    return pages | {
        CLIENT_FIELDS: client_parameters(),
        ENV_EXAMPLE: env_example(),
        POSTMAN: collection(requests),
        HTTP_FILE: http_file(requests),
    }


def main() -> None:
    """Write all files."""
    for path, text in generated().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
