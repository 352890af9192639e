"""The memory that a worker announces."""

import sys
import types

import pytest

from worker.background.memory_usage import gpu_bytes, resident_bytes


def test_a_process_reports_its_resident_memory() -> None:
    resident = resident_bytes()
    assert resident
    assert resident > 2**20


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:1"])
def test_no_gpu_memory_is_reported_while_torch_is_being_imported(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread imports it: its module exists long before its attributes."""
    monkeypatch.setitem(sys.modules, "torch", types.ModuleType("torch"))
    assert gpu_bytes(device) is None
    monkeypatch.delitem(sys.modules, "torch")
    assert gpu_bytes(device) is None
