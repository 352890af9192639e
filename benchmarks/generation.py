"""Memory and time of one picture: `python -m benchmarks.drawing FILE CACHE PLAN`.

A process of its own, since a peak never falls. PLAN is `standard`, `optimized` or `turbo`. Prints
the seconds of the sampling and of the decoding, and the process' peak: all that the kernel counts
as resident (VmHWM), the interpreter, torch and mapped pages included; and what it held in the
middle of sampling, where pages that several processes share count in parts (PSS).
"""

import argparse
import json
from pathlib import Path

from benchmarks.peak import proportional, resident
from stable_diffusion.generate import generate
from stable_diffusion.loader import Loader
from stable_diffusion.recipe import Recipe
from stable_diffusion.stopwatch import Stopwatch
from stable_diffusion.weights.fingerprint import Fingerprints
from stable_diffusion.weights.weight_cache import WeightCache

PLANS = ("standard", "turbo", "optimized")


def main() -> None:
    """Draw once and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("plan", choices=PLANS)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--size", type=int, default=512)
    chosen = parser.parse_args()
    copies = WeightCache(chosen.cache / "models", 2**40, worth_it=0)
    loader = Loader("cpu", Fingerprints(chosen.cache / "fingerprints.json"), copies)
    model = loader.load("model", chosen.file)
    recipe = Recipe(
        prompt="a red dragon",
        steps=chosen.steps,
        height=chosen.size,
        width=chosen.size,
        memory_plan="standard" if chosen.plan == "standard" else "optimized",
        turbo=chosen.plan == "turbo",
    )
    watch = Stopwatch()
    held: list[int] = []
    list(generate(model, recipe, lambda _: held.append(proportional()), watch))
    middle = held[len(held) // 2]
    print(json.dumps({"peak": resident("VmHWM"), "held": middle, **watch.seconds}))


if __name__ == "__main__":
    main()
