"""The shipped model, small enough for the repository: made by `make train` from its drawings."""

from pathlib import Path

PATH = Path(__file__).with_name("tiny.safetensors")
