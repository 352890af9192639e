"""`make bench`: run the benchmarks, print their figures, append them to bench.json."""

import argparse
import tempfile
from pathlib import Path

from benchmarks import batching, gpu, loading, memory, progress, service, step
from benchmarks.harness import Workshop, machine, record

BENCHMARKS = {
    "batching": batching.measure,
    "gpu": gpu.measure,
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
    chosen = parser.parse_args()
    print(machine())
    for name in chosen.names or BENCHMARKS:
        with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
            for one in BENCHMARKS[name](Workshop(Path(folder), chosen.rounds)):
                print(one, flush=True)
                record([one], FILE)


if __name__ == "__main__":
    main()
