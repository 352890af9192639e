"""What is known of each installed model, found out in a thread of its own."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import structlog

from jobs.model_defaults import ModelDefaults
from jobs.names import published_native_size
from jobs.worker_facts import ModelFacts
from stable_diffusion.errors import ModelError
from stable_diffusion.weights.model_files import files_of
from worker.background.periodic_thread import PeriodicThread
from worker.execution.engine import Engine
from worker.models.catalogue import Catalogue
from worker.models.defaults_reader import DefaultsReader, KnownLora
from worker.models.model_key import FileSignature, file_signature

log = structlog.get_logger(__name__)

_INTERVAL_SECONDS = 3.0


class Inventory(PeriodicThread):
    """Describes new models once the engine is built.

    Args:
        catalogue: the installed models.
        engine: returns the engine that describes models; None while it is not built.
    """

    def __init__(self, catalogue: Catalogue, engine: Callable[[], Engine | None]) -> None:
        super().__init__("inventory", _INTERVAL_SECONDS)
        self._catalogue = catalogue
        self._engine = engine
        self._known: dict[Path, tuple[FileSignature, ModelFacts]] = {}
        self._defaults = DefaultsReader(catalogue)

    def loras(self) -> tuple[KnownLora, ...]:
        """The installed LoRAs of which more is known than the name. Never blocks."""
        return self._defaults.loras()

    def lora_widths(self) -> dict[str, int]:
        """The width of the text embeddings that LoRAs read, by name. Never blocks."""
        return self._defaults.lora_widths()

    def facts(
        self, resident: Collection[str], loras: Sequence[KnownLora] = ()
    ) -> tuple[ModelFacts, ...]:
        """What is known now of every installed model, by name. Never blocks.

        Args:
            resident: the names of the models in memory.
            loras: as of `loras()`; a few-step LoRA gives the models of its family a preset.
        """
        found: list[ModelFacts] = []
        for name, path in sorted(self._catalogue.installed().items()):
            facts = self._facts(name, path)
            defaults, problem = self._defaults.of_model(name, path, facts.family, loras)
            update = {"resident": name in resident, "defaults_problem": problem}
            if defaults != ModelDefaults():
                update["defaults"] = defaults
            found.append(facts.model_copy(update=update))
        return tuple(found)

    def tick(self) -> None:
        """Describe the models that are new, or whose files have changed."""
        engine = self._engine()
        if engine is None:
            return
        for name, path in self._catalogue.installed().items():
            facts = self._facts(name, path)
            if not facts.kind and not facts.problem:
                facts = facts.model_copy(update=_description(engine, name, path))
            if not facts.hash and not facts.problem:
                facts = facts.model_copy(update={"hash": _hash(engine, path)})
            self._known[path] = file_signature(path), facts

    def _facts(self, name: str, path: Path) -> ModelFacts:
        known = self._known.get(path)
        if known is not None and known[0] == file_signature(path):
            return known[1]
        native_size = published_native_size(name)
        return ModelFacts(name=name, bytes=_size(path), native_size=native_size)


def _description(engine: Engine, name: str, path: Path) -> dict[str, Any]:
    try:
        description = engine.describe_model(name, path)
    except ModelError as error:
        return {"problem": str(error)}
    except Exception as error:  # whatever a file does to its reader, it must not hide the others
        log.exception("a model cannot be described", model=name)
        return {"problem": f"model {name!r} cannot be read: {type(error).__name__}: {error}"}
    return {
        "family": description.family,
        "kind": description.kind,
        "native_size": description.native_size,
        "cost": description.cost,
        "unet": description.unet,
    }


def _hash(engine: Engine, path: Path) -> str:
    try:
        return engine.known_hash(path)
    except (ModelError, OSError):
        return ""


def _size(path: Path) -> int:
    try:
        return sum(file.stat().st_size for file in files_of(path))
    except (OSError, ModelError):
        return 0
