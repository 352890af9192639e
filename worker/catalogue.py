"""Which models are installed: the shipped one, and what lies in the models folder."""

from pathlib import Path

from jobs.names import DEFAULT_MODEL, model_named
from stable_diffusion import tiny
from worker.errors import UnknownModel

_SUFFIXES = (".safetensors", ".ckpt")  # the safe one first


class Catalogue:
    """Models by canonical name. Looks at the folder anew each time: files come and go.

    Args:
        models_dir: checkpoints in the original layout; need not exist.
        default_model: what `default` stands for.
    """

    def __init__(self, models_dir: Path, default_model: str) -> None:
        self._models_dir = models_dir
        self.default = model_named(default_model)

    def installed(self) -> dict[str, Path]:
        """Every installed model's file. A file of its own goes before the shipped one."""
        found: dict[str, Path] = {}
        for path in self._entries():
            found.setdefault(model_named(path.name), path)
        for path in tiny.PATHS:
            if path.is_file():
                found.setdefault(model_named(path.name), path)
        return found

    def find(self, name: str) -> tuple[str, Path]:
        """The canonical name and the place of a model. Raises UnknownModel."""
        canonical = model_named(name)
        if canonical == DEFAULT_MODEL:
            canonical = self.default
        installed = self.installed()
        if canonical not in installed:
            raise UnknownModel(canonical, sorted(installed))
        return canonical, installed[canonical]

    def _entries(self) -> list[Path]:
        """Files that look like models, .safetensors before .ckpt."""
        if not self._models_dir.is_dir():
            return []
        files = sorted(
            path
            for path in self._models_dir.iterdir()
            if path.is_file() and not path.name.startswith(".")
        )
        return [path for suffix in _SUFFIXES for path in files if path.suffix == suffix]
