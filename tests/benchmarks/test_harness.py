"""The figures of benchmarks, and what becomes of them when a benchmark fails."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import gpu, gpu_service
from benchmarks.harness import BenchmarkOptions, Figure, figure, markdown


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


def test_figures_are_a_table_for_a_page() -> None:
    rows = markdown([figure("a job", [1.0], [2.5]), figure("peak", [3.5], unit="GB")]).splitlines()
    assert rows[2:] == ["| a job | 1 s | 2.5 s | 2.50 |", "| peak | 3.5 GB |  |  |"]


@pytest.mark.heavy
def test_the_benchmarks_of_a_gpu_run_without_errors_in_small(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """All but those of a service, which `make gpu REHEARSE=1` starts."""
    monkeypatch.setattr(gpu_service, "measure", lambda _: iter(()))
    made = list(gpu.measure(BenchmarkOptions(tmp_path, rounds=1, rehearsal=True)))
    assert sum("aim" in one.name for one in made) >= 6
    assert all(one.ours > 0 or "peak memory" in one.name for one in made)
