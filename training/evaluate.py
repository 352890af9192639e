"""`make eval`: asks the shipped models for pictures and says how many show what was asked.

Prints one line a figure and writes them all to eval.json. Seeds are the examination's own.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import torch

from stable_diffusion.model import load_model
from stable_diffusion.tiny import PATHS
from training.classifier import taught_classifier
from training.examinations import EXAMINATIONS
from training.examiner import Examiner, Figure


def examine(
    model_file: Path, sizes: list[int], part: float, only: list[str] | None = None
) -> list[Figure]:
    """Every figure of one model, printed as it comes.

    Args:
        model_file: a checkpoint.
        sizes: sides of the pictures, in pixels.
        part: of the prompts to ask, 0..1; at least four of each examination.
        only: names of examinations; None: all.
    """
    classifier, accuracy = taught_classifier(Path(".training") / "classifier.pt")
    print(f"classifier: {accuracy:.3f} right on true drawings it was not taught", flush=True)
    model = load_model(model_file, name=model_file.stem)
    figures: list[Figure] = []
    for size in sizes:
        examiner = Examiner(model, size, classifier)
        for examination, count in EXAMINATIONS:
            if only and examination.__name__ not in only:
                continue
            for figure in examination(examiner, max(4, round(count * part))):
                print(figure, flush=True)
                figures.append(figure)
    return figures


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    shipped = [path for path in PATHS if path.is_file()]
    parser.add_argument("--models", type=Path, nargs="+", default=shipped)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--share", type=float, default=1.0, help="of the prompts to ask")
    parser.add_argument("--only", nargs="+", choices=[e.__name__ for e, _ in EXAMINATIONS])
    parser.add_argument("--out", type=Path, default=Path("eval.json"))
    arguments = parser.parse_args()
    torch.manual_seed(0)
    figures = [
        figure
        for path in arguments.models
        for figure in examine(path, arguments.sizes, arguments.share, arguments.only)
    ]
    lines = [asdict(figure) | {"reached": figure.reached} for figure in figures]
    arguments.out.write_text(json.dumps(lines, indent=1))
    asked = [figure for figure in figures if figure.target is not None]
    print(f"{sum(bool(f.reached) for f in asked)} of {len(asked)} targets reached")
    print(f"written to {arguments.out}")


if __name__ == "__main__":
    main()
