"""One picture by diffusers: `python -m benchmarks.diffusers_picture FILE CONFIGURATION STEPS`.

As its documentation does on a CPU: eager, float32, 512 x 512, guided, with all cores. It is a
process of its own so that its memory is free while the other arm runs, and because a peak never
falls. Prints the seconds from the call to the picture without loading, those of a step (median),
and the peak of resident memory.
"""

import argparse
import json
import statistics
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.checkpoints import load_with_diffusers
from benchmarks.peak import resident


def main() -> None:
    """Generate one picture and print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("configuration", type=Path)
    parser.add_argument("steps", type=int)
    arguments = parser.parse_args()
    peer = load_with_diffusers(arguments.file, arguments.configuration)
    ends: list[float] = []

    def note(_pipeline: object, _step: int, _timestep: object, tensors: dict[str, Any]) -> Any:
        ends.append(time.perf_counter())
        return tensors

    began = time.perf_counter()
    peer(
        "a red dragon on a beach",
        height=512,
        width=512,
        num_inference_steps=arguments.steps,
        guidance_scale=7.5,
        callback_on_step_end=note,  # pyright: ignore[reportArgumentType] - its own type is wrong
    )
    whole = time.perf_counter() - began
    # the first step follows the encoding of the prompt, so it counts only where it is alone
    each = [later - earlier for earlier, later in pairwise(ends)] or [ends[0] - began]
    measured = {"picture": whole, "step": statistics.median(each), "peak": resident("VmHWM")}
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
