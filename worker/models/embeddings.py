"""The embeddings that prompts name, read once and kept."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from stable_diffusion.embeddings import embedding_width, read_embedding, with_embeddings
from stable_diffusion.model import Model
from stable_diffusion.prompt.embeddings import pattern_of
from stable_diffusion.prompt.grammar import tokens_of
from worker.errors import UnknownEmbedding
from worker.models.catalogue import Catalogue
from worker.models.model_key import FileSignature, file_signature


class Vectors:
    """The embeddings of one process. Looks at the folder anew each time: files come and go.

    Args:
        catalogue: what is installed; None: nothing is.
    """

    def __init__(self, catalogue: Catalogue | None) -> None:
        self._catalogue = catalogue
        self._read: dict[Path, tuple[FileSignature, Tensor]] = {}

    def prepared(self, model: Model, prompts: Sequence[str]) -> tuple[Model, tuple[str, ...]]:
        """The model with the embeddings that the prompts name, and what is to be said of them.

        One that was made for another kind of model is left out: its name stays a word.

        Raises:
            UnknownEmbedding: one in angle brackets that is not installed.
            UnreadableModel: its file cannot be read.
        """
        installed = self._catalogue.embeddings() if self._catalogue else {}
        known = {name.lower(): name for name in installed}
        for token in (token for prompt in prompts for token in tokens_of(prompt)):
            if token.lower() not in known:
                raise UnknownEmbedding(token, sorted(installed))
        pattern = pattern_of(installed)
        named = {
            known[(match["bare"] or match["tagged"]).lower()]
            for prompt in prompts
            for match in pattern.finditer(prompt)
        }
        vectors = {name: self._vectors(installed[name]) for name in sorted(named)}
        width = embedding_width(model)
        fitting = {name: rows for name, rows in vectors.items() if rows.shape[1] == width}
        warnings = tuple(
            f"embedding {name}: it was made for another kind of model ({rows.shape[1]} numbers a "
            f"vector, not {width}), so its name is only a word"
            for name, rows in vectors.items()
            if name not in fitting
        )
        return with_embeddings(model, fitting), warnings

    def _vectors(self, path: Path) -> Tensor:
        signature = file_signature(path)
        read = self._read.get(path)
        if read is None or read[0] != signature:
            read = self._read[path] = signature, read_embedding(path)
        return read[1]
