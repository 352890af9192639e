"""Flower's root: it asks for a password before anything else."""

import pytest

from api.flower import FlowerSettings
from jobs.environment import read_settings


@pytest.mark.parametrize("given", ["", "admin:", "admin:short", ":long enough", "admin:with,comma"])
def test_flower_does_not_start_without_a_password(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOWER_BASIC_AUTH", given)

    with pytest.raises(SystemExit, match="set FLOWER_PASSWORD, at least 8 characters") as refused:
        read_settings(FlowerSettings)
    assert given == "" or given not in str(refused.value)


def test_flower_starts_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWER_BASIC_AUTH", "admin:long:enough")

    settings = read_settings(FlowerSettings)

    assert settings.flower_basic_auth == "admin:long:enough"
    assert "long" not in repr(settings)
