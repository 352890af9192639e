"""What the installed models and LoRAs want for what a request leaves out."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from jobs.model_defaults import Defaults, LoraFacts, ModelDefaults
from jobs.names import find_name
from jobs.prompts.lora_tags import lora_name
from stable_diffusion import tiny
from stable_diffusion.families import FAMILIES
from worker.models.catalogue import Catalogue
from worker.models.defaults_file import FaultyDefaults, LoraTable, ModelTable, read_defaults
from worker.models.few_step import FewStep, few_step
from worker.models.file_readings import FileReadings
from worker.models.folder_entries import is_file
from worker.models.safetensors_header import Header, read_header

log = structlog.get_logger(__name__)

Wanted = tuple[ModelDefaults, str]
"""Defaults, and why their file was not used; empty: nothing is wrong with it."""
_NOTHING: Wanted = ModelDefaults(), ""
_TABLE_OF_SOURCES = "sources.toml"
_USUAL_STEPS = 4
_NAMELESS = ("adapter_model", "pytorch_lora_weights", "diffusion_pytorch_model")
"""Names that libraries give to every file: the folder has the LoRA's."""
_READS_TEXT = re.compile(r"attn2[._](processor[._])?to_k[._](.*[._])?(down|lora_A)\b.*weight$")
"""The factor of a LoRA that reads the text: its width says for which family it was made."""


@dataclass(frozen=True)
class KnownLora:
    """A LoRA of which more is known than the name.

    Attributes:
        few_step: its row in the table of few-step LoRAs; None: it is not in there.
        context_width: of the text embeddings that it reads; None: not known.
    """

    facts: LoraFacts
    few_step: FewStep | None
    context_width: int | None


@dataclass(frozen=True)
class _Described:
    """What is kept of the header of a file: the whole may take megabytes.

    Attributes:
        titles: see `Header`.
        context_width: see `KnownLora`.
    """

    titles: tuple[str, ...] = ()
    context_width: int | None = None

    @classmethod
    def read(cls, path: Path) -> "_Described":
        """That of a file. Raises OSError."""
        header = read_header(path)
        return cls(header.titles, _context_width(header))


class DefaultsReader:
    """Reads the defaults of what is installed; a file again when it has changed.

    Args:
        catalogue: what is installed.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._headers = FileReadings[_Described](_Described.read)
        self._of_models = FileReadings[Wanted](lambda path: _read(path, ModelTable))
        self._of_loras = FileReadings[Wanted](lambda path: _read(path, LoraTable))

    def loras(self) -> tuple[KnownLora, ...]:
        """The installed LoRAs of which more is known than the name, by name."""
        aliases: dict[Path, list[str]] = {}
        for alias, path in self._catalogue.lora_folder.aliases().items():
            aliases.setdefault(path, []).append(alias)
        found: list[KnownLora] = []
        for name, path in sorted(self._catalogue.loras().items()):
            header = self._headers.of(path) or _Described()
            own = path.parent.name if path.stem in _NAMELESS else path.stem
            known = few_step("lora", (own, *header.titles))
            stated, problem = self._stated(name, path, self._of_loras)
            defaults = stated.over(known.defaults if known else Defaults())
            if defaults == Defaults() and not problem:
                continue
            facts = LoraFacts(
                name=name,
                aliases=tuple(sorted(aliases.get(path, ()))),
                defaults=defaults,
                problem=problem,
            )
            found.append(KnownLora(facts, known, header.context_width))
        return tuple(found)

    def lora_widths(self) -> dict[str, int]:
        """The width of the text embeddings that a LoRA reads, by its names, where it is known."""
        paths = {**self._catalogue.lora_folder.aliases(), **self._catalogue.loras()}
        headers = {name: self._headers.of(path) for name, path in paths.items()}
        widths = {name: each.context_width for name, each in headers.items() if each}
        return {name: width for name, width in widths.items() if width}

    def of_model(self, name: str, path: Path, family: str, loras: Sequence[KnownLora]) -> Wanted:
        """What a model wants, with the presets whose LoRAs and autoencoder are installed.

        Args:
            name, path: the model's.
            family: the id of its family; empty while it is not known.
            loras: as of `loras()`.
        """
        titles = () if path.is_dir() else (self._headers.of(path) or _Described()).titles
        known = few_step("model", (path.name if path.is_dir() else path.stem, *titles))
        stated, problem = self._stated(name, path, self._of_models)
        presets = dict(stated.presets or {})
        best = None if known else _best_of(family, loras)
        if best and "fast" not in presets:
            presets["fast"] = Defaults(loras=(best.facts.name,))
        usable = {key: each for key, each in presets.items() if not self._missing(each)}
        own = ModelDefaults(**dict(stated.over(known.defaults if known else Defaults())))
        if missing := self._missing(own):
            problem = problem or f"the defaults of {name} name {missing}, which is not installed"
            own = own.model_copy(update={"vae": None, "loras": None})
        return own.model_copy(update={"presets": usable or None}), problem

    def _stated(self, name: str, path: Path, readings: FileReadings[Wanted]) -> Wanted:
        """What the file of defaults beside a model or a LoRA says."""
        stems = dict.fromkeys((path.name if path.is_dir() else path.stem, name.rpartition("/")[2]))
        beside = [path.with_name(f"{stem}.toml") for stem in stems]
        if path.parent == tiny.FOLDER:
            # an operator cannot write beside what is included
            own = self._catalogue.loras_dir if readings is self._of_loras else None
            beside.insert(0, (own or self._catalogue.models_dir) / f"{name}.toml")
        for file in beside:
            if file.name != _TABLE_OF_SOURCES and is_file(file):
                return readings.of(file) or (ModelDefaults(), f"{file.name} cannot be read")
        return _NOTHING

    def _missing(self, defaults: Defaults) -> str:
        """What of a preset is not installed, in words; empty: nothing."""
        if defaults.vae and not find_name(defaults.vae, self._catalogue.vaes()):
            return f"the VAE {defaults.vae}"
        absent = (
            lora
            for lora in map(lora_name, defaults.loras or ())
            if self._catalogue.lora_folder.find(lora) is None
        )
        return next((f"the LoRA {lora}" for lora in absent), "")


def _read(path: Path, schema: type[LoraTable]) -> Wanted:
    try:
        return read_defaults(path, schema), ""
    except FaultyDefaults as error:
        log.warning("a file of defaults was not used", reason=str(error))
        return ModelDefaults(), f"{error}; the file was not used"


def _context_width(header: Header) -> int | None:
    shapes = (shape for name, shape in header.shapes.items() if _READS_TEXT.search(name))
    return next((shape[1] for shape in shapes if len(shape) > 1), None)


def _best_of(family: str, loras: Sequence[KnownLora]) -> KnownLora | None:
    """The few-step LoRA for a family whose row comes first in the table; None: there is none."""
    width = next((each.context_width for each in FAMILIES if each.id == family), None)

    def rank(lora: KnownLora) -> tuple[int, int, str]:
        assert lora.few_step
        steps = lora.facts.defaults.steps or _USUAL_STEPS
        return lora.few_step.row, abs(steps - _USUAL_STEPS), lora.facts.name

    fitting = [each for each in loras if each.few_step and each.context_width == width]
    return min(fitting, key=rank, default=None) if width else None
