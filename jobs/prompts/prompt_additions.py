"""What a request adds to its model: LoRAs, embeddings, an autoencoder. Are they installed?"""

import difflib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from jobs.errors import Fault
from jobs.names import find_name, plain_name
from stable_diffusion.prompt.grammar import ParsedPrompt

_MOST_LISTED = 50


@dataclass(frozen=True, kw_only=True)
class InstalledAdditions:
    """The names of the LoRAs, embeddings and autoencoders that workers serve.

    An embedding may be written in any case.

    Attributes:
        lora_aliases, embedding_aliases: other names of the same LoRAs and embeddings.
        bundled_embeddings: embeddings in the file of a LoRA. Whether a prompt names that LoRA is
            left to the worker.
        lora_widths: of the text embeddings that a LoRA reads, by each of its names, where known.
    """

    loras: Collection[str]
    embeddings: Collection[str]
    lora_aliases: Collection[str] = ()
    embedding_aliases: Collection[str] = ()
    bundled_embeddings: Collection[str] = ()
    vaes: Collection[str] = ()
    lora_widths: Mapping[str, int] = field(default_factory=dict[str, int])

    def vae_faults(self, name: str) -> tuple[Fault, ...]:
        """A fault if no autoencoder of this name is installed."""
        if find_name(name, self.vaes):
            return ()
        return (_unknown("vae", "VAE", name, self.vaes),)

    def faults(self, field: str, prompts: Iterable[ParsedPrompt]) -> tuple[Fault, ...]:
        """A fault for each LoRA and embedding that is named but not installed.

        An embedding is looked up only in angle brackets: without them its name may be a word.

        Args:
            field: the field of the request that holds the prompts, or names their file.
            prompts: its prompts.
        """
        faults: dict[str, Fault] = {}
        known = (*self.embeddings, *self.embedding_aliases, *self.bundled_embeddings)
        embeddings = {name.lower() for name in known}
        for prompt in prompts:
            for name in prompt.embeddings:
                if name.lower() not in embeddings:
                    faults[f"<{name}>"] = _unknown(field, "embedding", name, self.embeddings)
            for tag in prompt.loras:
                lora = plain_name(tag.name)
                if lora not in self.loras and lora not in self.lora_aliases:
                    faults[tag.name] = _unknown(field, "LoRA", tag.name, self.loras)
        return tuple(faults.values())


def _unknown(field: str, what: str, name: str, installed: Collection[str]) -> Fault:
    # the most similar first, so that a truncated list still shows the name that was meant
    alike = difflib.get_close_matches(name, installed, n=5, cutoff=0.5) if len(name) < 100 else []
    listed = [*alike, *sorted(set(installed) - set(alike))]
    more = f" and {len(listed) - _MOST_LISTED} more" if len(listed) > _MOST_LISTED else ""
    return Fault(
        field=field,
        code=f"unknown_{what.lower()}",
        value=name[:80],
        problem=f"names {name[:80]!r}, which is no installed {what}",
        expected=f"one of: {', '.join(listed[:_MOST_LISTED])}{more}"
        if listed
        else f"an installed {what}; none is installed",
    )
