"""`make eval`: generates pictures with the shipped models and measures how well they are.

Prints one line for each metric and writes all of them to eval.json. Its seeds are fixed.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from stable_diffusion.families.unet_inputs import INPAINTING
from stable_diffusion.model import Model, load_model
from stable_diffusion.tiny import PATHS
from training.classifier import trained_classifier
from training.eval_inpainting import INPAINTING_TASKS
from training.eval_tasks import EVAL_TASKS, EvalTask
from training.metrics import Evaluator, Metric


def evaluate(
    model_file: Path, sizes: list[int], part: float, only: list[str] | None = None
) -> list[Metric]:
    """All metrics of one model; prints each at once.

    Args:
        model_file: a checkpoint.
        sizes: sides of the pictures, in pixels.
        part: share of the prompts to use, 0..1; at least four in each task.
        only: names of tasks; None: all.
    """
    classifier, accuracy = trained_classifier(Path(".training") / "classifier.pt")
    print(f"classifier: {accuracy:.3f} accuracy on drawings outside its training set", flush=True)
    model = load_model(model_file, name=model_file.stem)
    metrics: list[Metric] = []
    for size in sizes:
        evaluator = Evaluator(model, size, classifier)
        for task, count in tasks_for(model):
            if only and task.__name__ not in only:
                continue
            for metric in task(evaluator, max(4, round(count * part))):
                print(metric, flush=True)
                metrics.append(metric)
    return metrics


def tasks_for(model: Model) -> Sequence[EvalTask]:
    """What is asked of a model, each with the number of prompts."""
    return INPAINTING_TASKS if model.family.unet_inputs is INPAINTING else EVAL_TASKS


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    shipped = [path for path in PATHS if path.is_file()]
    parser.add_argument("--models", type=Path, nargs="+", default=shipped)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--share", type=float, default=1.0, help="share of the prompts to use")
    parser.add_argument(
        "--only", nargs="+", choices=[task.__name__ for task, _ in (*EVAL_TASKS, *INPAINTING_TASKS)]
    )
    parser.add_argument("--out", type=Path, default=Path("eval.json"))
    arguments = parser.parse_args()
    torch.manual_seed(0)
    metrics = [
        metric
        for path in arguments.models
        for metric in evaluate(path, arguments.sizes, arguments.share, arguments.only)
    ]
    lines = [asdict(metric) | {"reached": metric.reached} for metric in metrics]
    arguments.out.write_text(json.dumps(lines, indent=1))
    targets = [metric for metric in metrics if metric.target is not None]
    print(f"{sum(bool(metric.reached) for metric in targets)} of {len(targets)} targets reached")
    print(f"written to {arguments.out}")


if __name__ == "__main__":
    main()
