"""The figures of benchmarks, and what becomes of them when a benchmark fails."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks.harness import BenchmarkOptions, Figure, figure


def test_a_figure_has_medians_and_their_ratio() -> None:
    found = figure("a job", [1.0, 2.0, 4.0], [3.0, 6.0, 6.0])

    assert (found.ours, found.peer, found.ratio, found.spread) == (2.0, 6.0, 3.0, 1.5)
    assert str(found).split() == [
        *("a", "job", "2.000", "s", "peer", "6.000", "ratio", "3.00", "spread", "150%")
    ]


@pytest.mark.parametrize(
    ("ours", "peer", "ratio", "spread"),
    [
        ([0.0], None, 0.0, 0.0),
        ([0.0, 0.0, 3.0], None, 0.0, 1.0),
        ([0.0], [2.0], None, 0.0),
        ([2.0], [0.0], 0.0, 0.0),
    ],
)
def test_a_figure_may_be_zero(
    ours: list[float], peer: list[float] | None, ratio: float | None, spread: float
) -> None:
    """As the error of a precision is on a processor that has only the other."""
    found = figure("an error", ours, peer, unit="")

    assert (found.ratio, found.spread) == (ratio, spread)
    assert str(found).startswith("an error")


def test_every_figure_is_printed_and_written_before_the_next_is_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bench.json"
    file.write_text(json.dumps([{"name": "of another day"}]))

    def names() -> list[str]:
        return [written["name"] for written in json.loads(file.read_text())]

    def breaks(options: BenchmarkOptions) -> Iterator[Figure]:
        yield figure("first", [0.0])
        assert names() == ["of another day", "first"]
        assert "first" in capsys.readouterr().out
        raise ZeroDivisionError

    def holds(options: BenchmarkOptions) -> Iterator[Figure]:
        yield figure("second", [1.0])

    monkeypatch.setattr(command, "BENCHMARKS", {"breaks": breaks, "holds": holds})
    monkeypatch.setattr(command, "FILE", file)
    monkeypatch.setattr(sys, "argv", ["bench"])

    with pytest.raises(SystemExit, match="failed: breaks"):
        command.main()

    said = capsys.readouterr()
    assert "second" in said.out
    assert "ZeroDivisionError" in said.err
    assert names() == ["of another day", "first", "second"]
