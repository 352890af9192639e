"""The table of sources, from which models are downloaded."""

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from jobs.names import model_named
from stable_diffusion.families.family import Prediction
from stable_diffusion.weights.small_files import read_text
from worker.errors import BadSource

TABLE = Path(__file__).with_name("sources.toml")
OWN_TABLE = "sources.toml"


class Source(BaseModel):
    """The location of a model on the hub; `sources.toml` explains the fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    repositories: tuple[str, ...] = Field(min_length=1)
    file: str = Field(pattern=r"^[\w./-]+\.(safetensors|ckpt)$")
    revision: str = "main"
    folder: Literal["models", "loras", "vae"] = "models"
    prediction: Prediction | None = None

    def folder_in(self, models_dir: Path, loras_dir: Path) -> Path:
        """Where its file belongs."""
        folders = {"models": models_dir, "loras": loras_dir, "vae": models_dir / "vae"}
        return folders[self.folder]


_SOURCES = TypeAdapter(dict[str, Source])


def read_sources(models_dir: Path) -> dict[str, Source]:
    """The shipped table and the one of the models folder, by canonical name.

    Raises BadSource.
    """
    found: dict[str, Source] = {}
    for table in (TABLE, models_dir / OWN_TABLE):
        if table.is_file():
            found |= {model_named(name): source for name, source in _read(table).items()}
    return found


def source_of(name: str, models_dir: Path) -> tuple[str, Source]:
    """The canonical name and the source of a model. Raises BadSource."""
    canonical = model_named(name)
    sources = read_sources(models_dir)
    if canonical not in sources:
        raise BadSource(
            f"no source is known for the model {name!r}; known are {', '.join(sorted(sources))}. "
            f"Another is added in {OWN_TABLE} in the models folder."
        )
    return canonical, sources[canonical]


def _read(table: Path) -> dict[str, Source]:
    try:
        return _SOURCES.validate_python(tomllib.loads(read_text(table)))
    except (OSError, ValueError, RecursionError) as error:
        raise BadSource(f"{table.name} cannot be read: {error}") from error
