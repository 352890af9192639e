"""What `make up` prints once the service is ready: where clients find it, and with which key."""

import json
import sys
from pathlib import Path
from urllib.parse import quote

from pydantic_settings import BaseSettings, SettingsConfigDict

DUMMY_KEY = "lksalsdfjliadfds"
"""The key that the README prints, and that counts while the operator has set none."""
EXAMPLE = {
    "prompt": "a red ((dragon)) on a beach",
    "H": 256,
    "W": 256,
    "ddim_steps": 25,
    "synchronous_request": True,
}


class KeySettings(BaseSettings):
    """Where the API finds its keys; `api.settings` describes them."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore")

    api_keys: str = ""
    api_keys_file: Path | None = None

    @property
    def shown_key(self) -> str | None:
        """A key that may be printed; None: there is none.

        The well-known one is no secret. Of the operator's own keys the first of API_KEYS is shown,
        to a terminal only: what is no terminal may be the log of a container. The keys of a file
        are never shown.
        """
        own = [key for each in self.api_keys.split(",") if (key := each.strip())]
        if not own and self.api_keys_file is None:
            return DUMMY_KEY
        return own[0] if own and sys.stdout.isatty() else None


def addresses(url: str, key: str | None) -> str:
    """The addresses for the page and for each sort of client, a line each, and an example.

    Args:
        url: of the service.
        key: an API key to print; None: the reader has to fill one in.
    """
    link = f"{url}/#key={quote(key, safe='')}" if key else f"{url}/"
    lines = [
        f"the page                 {link}",
        f"native API, and sd       {url}",
        f"OpenAI clients           {url}/v1",
        f"AUTOMATIC1111 clients    {url} (they add /sdapi/v1)",
        f"API key                  {key or 'one of API_KEYS or API_KEYS_FILE'}",
        "",
        "To generate a first picture:",
        "",
        example_command(url, key),
    ]
    return "\n".join(f"  {line}".rstrip() for line in lines)


def example_command(url: str, key: str | None = DUMMY_KEY) -> str:
    """A curl command that generates a picture; with a key it works as pasted."""
    if key != DUMMY_KEY:
        return (
            f"curl -sS {url}/generate -H 'X-API-Key: one of API_KEYS' "
            f"-H 'Content-Type: application/json' -d '{json.dumps(EXAMPLE)}' -o picture.png"
        )
    body = json.dumps({**EXAMPLE, "api_key": key})
    return f"curl -sS {url}/generate -H 'Content-Type: application/json' -d '{body}' -o picture.png"
