"""The upscaler of this worker: a file of the upscalers folder, else the shipped one."""

import threading
from pathlib import Path

from stable_diffusion import tiny
from stable_diffusion.errors import ModelNotFound
from stable_diffusion.upscaling.upscale import Upscaler, load_upscaler
from worker.models.folder_entries import entries, is_file

_SUFFIXES = (".pth", ".safetensors")


class Upscalers:
    """The upscaler of one process, loaded on first use.

    Args:
        folder: files as ESRGAN and Real-ESRGAN publish them; need not exist. It is read at every
            call, because files are added and removed.
        name: the file to use, with or without its suffix; empty: the first by name.
        device: where it computes.
    """

    def __init__(self, folder: Path, name: str = "", device: str = "cpu") -> None:
        self._folder = folder
        self._name = name
        self._device = device
        self._lock = threading.Lock()
        self._loaded: tuple[Path, Upscaler] | None = None

    def get(self) -> Upscaler:
        """The upscaler in use; waits while another thread loads it.

        Raises:
            ModelNotFound: no file of the configured name is installed.
            UnreadableModel: the file cannot be read; the message names it.
        """
        path = self._find()
        with self._lock:
            if self._loaded is None or self._loaded[0] != path:
                self._loaded = None  # two must never be in memory at once
                self._loaded = path, load_upscaler(path, device=self._device)
            return self._loaded[1]

    def installed(self) -> list[Path]:
        """The files in the folder by name, then the shipped one."""
        own = [path for path in entries(self._folder) if path.suffix in _SUFFIXES and is_file(path)]
        return [*own, tiny.UPSCALER_PATH]

    def _find(self) -> Path:
        installed = self.installed()
        for path in installed:
            if self._name in ("", path.name, path.stem):
                return path
        names = ", ".join(path.name for path in installed)
        raise ModelNotFound(f"upscaler {self._name!r} is not installed; installed: {names}")
