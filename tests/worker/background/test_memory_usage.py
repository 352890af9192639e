"""What a worker says of its memory."""

import sys
import types

import pytest

from worker.background.memory_usage import gpu_bytes, resident_bytes


def test_a_process_has_memory() -> None:
    resident = resident_bytes()
    assert resident
    assert resident > 2**20


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:1"])
def test_of_a_gpu_nothing_is_said_while_torch_is_being_imported(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread imports it, and its module is there long before what is in it."""
    monkeypatch.setitem(sys.modules, "torch", types.ModuleType("torch"))
    assert gpu_bytes(device) is None
    monkeypatch.delitem(sys.modules, "torch")
    assert gpu_bytes(device) is None
