"""The templates: a complete request for each kind and type, stored as JSON files."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.http.body import parse_object
from jobs.names import JobKind, JobType
from jobs.parameters.schemas import SCHEMAS

FOLDER = Path(__file__).resolve().parents[3] / "templates"
ENDPOINTS: dict[JobKind, str] = {
    "txt2img": "/generate",
    "img2img": "/img2img",
    "upscale": "/upscale",
}


@dataclass(frozen=True)
class TemplateFile:
    """The template of a kind and type."""

    kind: JobKind
    type: JobType

    @property
    def name(self) -> str:
        """Its name in URLs."""
        return f"{self.kind}-{self.type}"

    @property
    def path(self) -> Path:
        """The file."""
        return FOLDER / f"{self.name}.json"

    def body(self) -> dict[str, Any]:
        """The request as a client would post it."""
        return parse_object(self.path.read_bytes())


def templates() -> Iterator[TemplateFile]:
    """All templates, in the order of the schemas."""
    for kind, of_types in SCHEMAS.items():
        for job_type in of_types:
            yield TemplateFile(kind, job_type)
