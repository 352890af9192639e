"""`make bench`: run the benchmarks, print their figures, append them to bench.json.

A figure is printed and written as soon as it is there. A benchmark that fails says why, and those
after it are run all the same.
"""

import argparse
import sys
import tempfile
import traceback
from pathlib import Path

from benchmarks import (
    batching,
    cache,
    gpu,
    growth,
    laptop,
    loading,
    memory,
    progress,
    service,
    step,
)
from benchmarks.harness import BenchmarkOptions, Figure, machine, markdown, record

BENCHMARKS = {
    "batching": batching.measure,
    "cache": cache.measure,
    "gpu": gpu.measure,
    "growth": growth.measure,
    "laptop": laptop.measure,
    "loading": loading.measure,
    "memory": memory.measure,
    "progress": progress.measure,
    "service": service.measure,
    "step": step.measure,
}
FILE = Path("bench.json")


def main() -> None:
    """Run those that are named, or all."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], metavar="NAME")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="for large files; default: the system's own")
    parser.add_argument(
        "--rehearse", action="store_true", help="run `gpu` on the CPU in small, to find errors"
    )
    parser.add_argument(
        "--steps", type=int, default=20, choices=range(1, 21), metavar="1..20",
        help="of the 20 guided steps of `laptop`, how many are run; the others are extrapolated",
    )  # fmt: skip
    chosen = parser.parse_args()
    print(machine(), flush=True)
    measured: list[Figure] = []
    failed = [name for name in chosen.names or BENCHMARKS if not _run(name, chosen, measured)]
    if measured:
        print(f"\n{machine()}\n\n{markdown(measured)}")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def _run(name: str, chosen: argparse.Namespace, measured: list[Figure]) -> bool:
    """Whether a benchmark came to its end. The figures of a rehearsal are not recorded."""
    try:
        with tempfile.TemporaryDirectory(dir=chosen.folder) as its_own:
            options = BenchmarkOptions(Path(its_own), chosen.rounds, chosen.rehearse, chosen.steps)
            for one in BENCHMARKS[name](options):
                print(one, flush=True)
                measured.append(one)
                if not chosen.rehearse:
                    record([one], FILE)
    except Exception:  # noqa: BLE001 - whatever it is, it says nothing of the other benchmarks
        traceback.print_exc()
        return False
    return True


if __name__ == "__main__":
    main()
