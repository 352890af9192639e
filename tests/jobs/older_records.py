"""What the code before records had a version leaves in Redis, to be read by the present code.

`older_records.json` was written by commit e233c87: its API, in a Flask test client, accepted each
of `jobs` with the model `small`; its `Claims` claimed and ended the first ones. Then every key
below `sdjobs:` was copied, except the workers' announcements. `expires` says whether the key had a
time to live. The init images are green and have 64×64 pixels; they are not in Redis.

Times are moved to now, as if it had been written in this moment.
"""

import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis

_WRITTEN = json.loads(Path(__file__).with_name("older_records.json").read_text(encoding="utf-8"))
_TIME = re.compile(r"\d{10}\.\d{6}")

IDEMPOTENCY_KEY = "order-17"
"""Of the job `idempotent`, whose submission had the body SUBMITTED."""
SUBMITTED = {
    "prompt": "a red cat",
    "W": 64,
    "H": 64,
    "ddim_steps": 3,
    "seed": 7,
    "type": "standard",
}


@dataclass(frozen=True)
class OlderRecords:
    """The jobs of the file, by what is particular about each.

    Attributes:
        job_ids: what is particular → the job's id.
    """

    job_ids: dict[str, str]

    @property
    def unended(self) -> dict[str, str]:
        """Those that wait, and the one that a worker has which will not be heard again."""
        ended = {"finished", "cancelled", "failed", "of an idle key"}
        return {name: job_id for name, job_id in self.job_ids.items() if name not in ended}


def load_older_records(redis: Redis) -> OlderRecords:
    """Write the content of the file into an empty Redis."""
    later = time.time() - _WRITTEN["written"]
    for key, content in _WRITTEN["keys"].items():
        value = _moved(content["value"], later)
        match content["type"]:
            case "hash":
                redis.hset(key, mapping=value)
            case "zset":
                redis.zadd(key, value)
            case "list":
                redis.rpush(key, *value)
            case _:
                redis.set(key, value)
        if content["expires"]:
            redis.expire(key, 600)
    return OlderRecords(_WRITTEN["jobs"])


def _moved(value: Any, later: float) -> Any:
    """With every time in it, as text or as a score, that much later."""
    match value:
        case dict():
            return {name: _moved(each, later) for name, each in value.items()}
        case str() if _TIME.fullmatch(value):
            return f"{float(value) + later:.6f}"
        case float() if 1e9 < value < 1e10:
            return value + later
        case _:
            return value
