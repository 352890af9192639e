"""The embeddings that prompts name, read once and kept in memory."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from stable_diffusion.embeddings import embedding_width, read_embedding, with_embeddings
from stable_diffusion.model import Model
from stable_diffusion.prompt.embeddings import found_name, pattern_of
from stable_diffusion.prompt.grammar import ParsedPrompt
from worker.errors import UnknownEmbedding
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
        self, model: Model, prompts: Sequence[ParsedPrompt]
    ) -> tuple[Model, tuple[str, ...]]:
        """The model with the embeddings that the prompts name, and warnings.

        An embedding of another width than the model's is left out: its name stays a word.

        Raises:
            UnknownEmbedding: one in angle brackets is not installed.
            UnreadableModel: a file cannot be read.
        """
        installed = self._catalogue.embeddings() if self._catalogue else {}
        known = {name.lower(): name for name in installed}
        for name in (name for prompt in prompts for name in prompt.embeddings):
            if name.lower() not in known:
                raise UnknownEmbedding(name, installed)
        pattern = pattern_of(installed)
        named = {
            known[found_name(match)]
            for prompt in prompts
            for match in pattern.finditer(prompt.text)
        }
        vectors = {name: self._read(installed[name]) for name in sorted(named)}
        width = embedding_width(model)
        fitting = {name: rows for name, rows in vectors.items() if rows.shape[1] == width}
        warnings = tuple(
            f"embedding {name}: it was made for another kind of model ({rows.shape[1]} numbers a "
            f"vector, not {width}), so its name is only a word"
            for name, rows in vectors.items()
            if name not in fitting
        )
        return with_embeddings(model, fitting), warnings

    def _read(self, path: Path) -> Tensor:
        signature = file_signature(path)
        cached = self._cached.get(path)
        if cached is None or cached[0] != signature:
            cached = self._cached[path] = signature, read_embedding(path)
        return cached[1]
