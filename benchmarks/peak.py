"""Peak memory of loading a model: `python -m benchmarks.peak FILE [CACHE]`.

It is a separate process because a peak never falls. It imports everything, measures its memory,
loads once, and prints the bytes of the model and the increase of the peak (VmHWM, which includes
mapped pages of files).
"""

import gc
import json
import sys
from pathlib import Path

from benchmarks.checkpoints import touch
from stable_diffusion.loader import Loader
from stable_diffusion.networks import parts_of
from stable_diffusion.weights.fingerprint import Fingerprints
from stable_diffusion.weights.weight_cache import WeightCache


def resident(line: str, process: int | None = None) -> int:
    """Resident bytes of a process, or of this: `VmRSS` is the current value, `VmHWM` the peak."""
    status = Path(f"/proc/{process or 'self'}/status").read_text()
    (found,) = (row for row in status.splitlines() if row.startswith(f"{line}:"))
    return int(found.split()[1]) * 1024


def proportional() -> int:
    """Resident bytes, with a share of the pages that several processes share (PSS)."""
    rows = Path("/proc/self/smaps_rollup").read_text().splitlines()
    (found,) = (row for row in rows if row.startswith("Pss:"))
    return int(found.split()[1]) * 1024


def main(file: Path, cache: Path | None) -> None:
    """Load once and print the measurements."""
    weight_cache = WeightCache(cache / "models", 2**40) if cache else None
    fingerprints = Fingerprints(cache / "fingerprints.json" if cache else None)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = resident("VmRSS")
    loader = Loader("cpu", fingerprints, weight_cache)
    model = loader.load("model", file)
    touch(*(module for _, module in parts_of(model.networks)))
    print(json.dumps({"bytes": model.nbytes, "peak": resident("VmHWM") - before}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
