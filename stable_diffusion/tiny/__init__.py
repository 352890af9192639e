"""The shipped models, small enough for the repository: made by `make train` from its drawings."""

from pathlib import Path

FOLDER = Path(__file__).parent
PATH = FOLDER / "tiny.safetensors"
"""Stable Diffusion 1's parts in small; predicts the noise."""
PATH_V2 = FOLDER / "tiny-v2.safetensors"
"""Stable Diffusion 2's parts in small; predicts v."""
PATHS = (PATH, PATH_V2)
UPSCALER_PATH = FOLDER / "upscaler-x2.safetensors"
"""A small RRDBNet that doubles pictures, in Real-ESRGAN's layout."""
