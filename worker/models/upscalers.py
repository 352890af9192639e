"""Which upscaler this worker uses: one from the upscalers folder, else the shipped one."""

import threading
from pathlib import Path

from stable_diffusion import tiny
from stable_diffusion.errors import ModelNotFound
from stable_diffusion.upscale import Upscaler, load_upscaler

_SUFFIXES = (".pth", ".safetensors")


class Upscalers:
    """The upscaler of one process, loaded when it is first asked for.

    Args:
        folder: files as ESRGAN and Real-ESRGAN publish them; need not exist. Looked at anew each
            time: files come and go.
        name: the one to use, with or without its suffix; empty: the first by name.
        device: where it shall compute.
    """

    def __init__(self, folder: Path, name: str = "", device: str = "cpu") -> None:
        self._folder = folder
        self._name = name
        self._device = device
        self._lock = threading.Lock()
        self._loaded: tuple[Path, Upscaler] | None = None

    def get(self) -> Upscaler:
        """The upscaler in use. Whoever asks while another thread loads it waits for that.

        Raises:
            ModelNotFound: none of the name that was set is installed.
            UnreadableModel: its file cannot be opened; the message names it.
        """
        path = self._find()
        with self._lock:
            if self._loaded is None or self._loaded[0] != path:
                self._loaded = None  # never two at once in memory
                self._loaded = path, load_upscaler(path, device=self._device)
            return self._loaded[1]

    def installed(self) -> list[Path]:
        """The files in the folder by name, and the shipped one last."""
        found = self._folder.iterdir() if self._folder.is_dir() else ()
        own = sorted(
            path
            for path in found
            if path.suffix in _SUFFIXES and path.is_file() and not path.name.startswith(".")
        )
        return [*own, tiny.UPSCALER_PATH]

    def _find(self) -> Path:
        installed = self.installed()
        for path in installed:
            if self._name in ("", path.name, path.stem):
                return path
        names = ", ".join(path.name for path in installed)
        raise ModelNotFound(f"upscaler {self._name!r} is not installed; installed: {names}")
