"""The embeddings that prompts name, read once and kept in memory."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from stable_diffusion.errors import ModelError
from stable_diffusion.families import by_context_width, with_more_encoders
from stable_diffusion.model import Model
from stable_diffusion.prompt.embeddings import found_name, pattern_of
from stable_diffusion.prompt.grammar import ParsedPrompt
from stable_diffusion.textual_inversion import (
    columns_for,
    embedding_width,
    read_embedding,
    text_widths,
    with_embeddings,
)
from worker.errors import UnknownEmbedding, UnusableEmbedding
from worker.models.catalogue import Catalogue
from worker.models.model_key import FileSignature, file_signature


class EmbeddingLoader:
    """The embeddings of one process.

    Args:
        catalogue: the installed embeddings; None: there are none.
    """

    def __init__(self, catalogue: Catalogue | None) -> None:
        self._catalogue = catalogue
        self._cached: dict[Path, tuple[FileSignature, Tensor]] = {}

    def add_to(
        self, model: Model, prompts: Sequence[ParsedPrompt], refines: Model | None = None
    ) -> tuple[Model, tuple[str, ...]]:
        """The model with the embeddings that the prompts name, and warnings.

        One that was made for another kind of model is left out, and so is one whose file cannot be
        read unless it is in angle brackets or after `embedding:`: its name stays a word. Those that
        came with the model's LoRAs take part; an installed one of the same name hides them.

        Args:
            refines: the model whose refiner this one is; None: it is no refiner, or used alone.
                Of an embedding for a model with more text encoders, one gets what is for its own.

        Raises:
            UnknownEmbedding: one in angle brackets is not installed.
            UnusableEmbedding: the file of one in angle brackets cannot be read.
        """
        installed: dict[str, Path | Tensor] = dict(model.embeddings)
        if self._catalogue:
            installed |= self._catalogue.embedding_aliases() | self._catalogue.embeddings()
        known = {name.lower(): name for name in installed}
        for name in (name for prompt in prompts for name in prompt.embeddings):
            if name.lower() not in known:
                raise UnknownEmbedding(name, installed)
        explicit = {known[name.lower()] for prompt in prompts for name in prompt.embeddings}
        pattern = pattern_of(installed)
        named = {
            known[found_name(match)]
            for prompt in prompts
            for match in pattern.finditer(prompt.text)
        }
        fitting: dict[str, Tensor] = {}
        warnings: list[str] = []
        width = embedding_width(model)
        wider = (text_widths(refines),) if refines else with_more_encoders(text_widths(model))
        for name in sorted(named):
            try:
                rows = self._vectors(installed[name])
                for encoders in wider:
                    rows = columns_for(model, encoders, rows)
            except ModelError as error:
                if name in explicit:
                    raise UnusableEmbedding(str(error)) from error
                reason = f"its file cannot be read ({error})"
            else:
                if rows.shape[1] == width:
                    fitting[name] = rows
                    continue
                made_for = by_context_width().get(rows.shape[1], "another kind of model")
                reason = (
                    f"it was made for {made_for} ({rows.shape[1]} numbers a vector, not {width})"
                )
            warnings.append(f"embedding {name}: {reason}, so its name is only a word")
        return with_embeddings(model, fitting), tuple(warnings)

    def _vectors(self, source: Path | Tensor) -> Tensor:
        return source if isinstance(source, Tensor) else self._read(source)

    def _read(self, path: Path) -> Tensor:
        signature = file_signature(path)
        cached = self._cached.get(path)
        if cached is None or cached[0] != signature:
            cached = self._cached[path] = signature, read_embedding(path)
        return cached[1]
