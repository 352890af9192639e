"""What is served: the announcements of all workers together."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jobs.model_defaults import LoraFacts
from jobs.names import JobType
from jobs.worker_facts import ModelFacts, WorkerFacts
from stable_diffusion.unet_kind import UNetKind

_NAMES = (
    *("types", "models", "vaes", "loras", "lora_aliases"),
    *("embeddings", "embedding_aliases", "bundled_embeddings"),
)
"""What each worker announces by names."""


@dataclass(frozen=True)
class Served:
    """What is served now or, when no worker is alive (`alive` is False), what one served last.

    All tuples are empty when no worker has announced itself for a day.

    Attributes:
        models, loras, embeddings, vaes: the names that requests may use.
        lora_aliases, embedding_aliases, bundled_embeddings: see `WorkerFacts`.
        model_facts: of each model, by name; resident if any worker has it in memory. Of workers
            that announce different defaults of a model or a LoRA, the first by its id counts.
        lora_facts: of those of `loras` of which more is known than the name.
        lora_widths: see `WorkerFacts`.
    """

    types: tuple[JobType, ...]
    models: tuple[str, ...]
    alive: bool
    loras: tuple[str, ...] = ()
    embeddings: tuple[str, ...] = ()
    vaes: tuple[str, ...] = ()
    model_facts: tuple[ModelFacts, ...] = ()
    lora_aliases: tuple[str, ...] = ()
    embedding_aliases: tuple[str, ...] = ()
    bundled_embeddings: tuple[str, ...] = ()
    lora_facts: tuple[LoraFacts, ...] = ()
    lora_widths: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def native_sizes(self) -> dict[str, int]:
        """For each model's name, the side in pixels of the pictures that it was trained on."""
        return {facts.name: facts.native_size for facts in self.model_facts}

    @property
    def costs(self) -> dict[str, float]:
        """For each model's name, the work of a pixel and a step, relative to others."""
        return {facts.name: facts.cost for facts in self.model_facts}

    @property
    def hashes(self) -> dict[str, str]:
        """For each model's name, the first digits of its SHA-256; empty while it is not known."""
        return {facts.name: facts.hash for facts in self.model_facts}

    def model_with_hash(self, digits: str) -> str | None:
        """The model whose hash begins with hex digits, or the other way round; None: there is none.

        Args:
            digits: the first ones of a SHA-256, in any case; so many that two models differ.
        """
        said = digits.lower()
        for name, known in self.hashes.items():
            if known and (known.startswith(said) or said.startswith(known)):
                return name
        return None

    @property
    def unets(self) -> dict[str, UNetKind]:
        """For each model's name what its UNet samples, where that is known."""
        return {facts.name: facts.unet for facts in self.model_facts if facts.unet}

    @property
    def problems(self) -> dict[str, str]:
        """For the name of each model that cannot be used, why."""
        return {facts.name: facts.problem for facts in self.model_facts if facts.problem}


def served_by(workers: tuple[WorkerFacts, ...], *, alive: bool) -> Served:
    """What some workers serve together."""
    facts: dict[str, ModelFacts] = {}
    for new in (new for worker in workers for new in worker.model_facts):
        known = facts.get(new.name, new)
        # of two workers with the same model, the one that knows its hash knows the most
        best = known if known.hash or not new.hash else new
        first = known if known.defaults or known.defaults_problem else new
        facts[new.name] = best.model_copy(
            update={
                "resident": known.resident or new.resident,
                "defaults": first.defaults,
                "defaults_problem": first.defaults_problem,
            }
        )
    loras = {new.name: new for worker in reversed(workers) for new in worker.lora_facts}
    return Served(
        alive=alive,
        model_facts=tuple(facts[name] for name in sorted(facts)),
        lora_facts=tuple(loras[name] for name in sorted(loras)),
        lora_widths=dict(pair for worker in workers for pair in worker.lora_widths.items()),
        **{
            names: tuple(sorted({name for worker in workers for name in getattr(worker, names)}))
            for names in _NAMES
        },
    )
