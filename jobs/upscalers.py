"""The ways to enlarge a picture that a request may name."""

from typing import Literal

UpscalerName = Literal["default", "lanczos", "nearest"]
NETWORK: UpscalerName = "default"
"""The network of the worker: its setting UPSCALER, else the first installed one, else the included
one. The others resample, without a network."""
