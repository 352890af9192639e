"""Memory and time of one picture: `python -m benchmarks.generation FILE CACHE PLAN`.

It is a separate process because a peak never falls. PLAN is `standard`, `optimized` or `turbo`.
Prints the seconds of sampling and of decoding; the peak of resident memory (VmHWM), which includes
the interpreter, torch and mapped pages; and the memory in the middle of sampling (PSS, in which
each process has its share of shared pages).
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
    """Generate one picture and print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("plan", choices=PLANS)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--size", type=int, default=512)
    arguments = parser.parse_args()
    weight_cache = WeightCache(arguments.cache / "models", 2**40, min_bytes=0)
    loader = Loader("cpu", Fingerprints(arguments.cache / "fingerprints.json"), weight_cache)
    model = loader.load("model", arguments.file)
    recipe = Recipe(
        prompt="a red dragon",
        steps=arguments.steps,
        height=arguments.size,
        width=arguments.size,
        memory_plan="standard" if arguments.plan == "standard" else "optimized",
        turbo=arguments.plan == "turbo",
    )
    stopwatch = Stopwatch()
    memory: list[int] = []
    list(generate(model, recipe, lambda _: memory.append(proportional()), stopwatch))
    middle = memory[len(memory) // 2]
    print(json.dumps({"peak": resident("VmHWM"), "memory": middle, **stopwatch.seconds}))


if __name__ == "__main__":
    main()
