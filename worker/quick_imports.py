"""Importing the engine: four thousand modules, with torch and the networks."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quick_imports() -> Iterator[None]:
    """Collect no garbage in a block that imports the engine.

    The collector would search what is imported again and again, a third of the time that importing
    takes. Modules stay until the end, so that no later collection need search them either.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
