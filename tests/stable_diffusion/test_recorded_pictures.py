"""The same requests give the same pictures, to the byte, as before the engine was rebuilt."""

import pytest

from tests.stable_diffusion.recorded import hashes, processor, recorded


def test_pictures_are_those_recorded_to_the_byte() -> None:
    before = recorded()
    if before["processor"] != processor():
        pytest.skip(f"recorded on {before['processor']}; this is {processor()}")
    now = hashes()
    changed = sorted(name for name, digest in before["hashes"].items() if now[name] != digest)
    assert not changed
    assert len(now) == len(before["hashes"]) > 100
