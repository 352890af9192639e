"""`make eval`: generates pictures with the shipped models and measures how well they are.

Prints one line for each metric and writes all of them to eval.json. Its seeds are fixed.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from stable_diffusion import tiny
from stable_diffusion.families.unet_inputs import INPAINTING
from stable_diffusion.load_model import load_model
from stable_diffusion.lora import read_lora, with_loras
from stable_diffusion.model import Model
from stable_diffusion.weights.checkpoint import open_checkpoint
from training.classifier import trained_classifier
from training.eval_inpainting import INPAINTING_TASKS
from training.eval_tasks import EVAL_TASKS, FEW_STEP_TASKS, EvalTask
from training.few_steps import FEW_STEPS
from training.low_rank import LORA_PREFIX
from training.metrics import Evaluator, Metric


def evaluate(
    model_file: Path, sizes: list[int], part: float, only: list[str] | None = None
) -> list[Metric]:
    """All metrics of one model; prints each at once.

    Args:
        model_file: a checkpoint, or a LoRA for tiny.
        sizes: sides of the pictures, in pixels.
        part: share of the prompts to use, 0..1; at least four in each task.
        only: names of tasks; None: all.
    """
    classifier, accuracy = trained_classifier(Path(".training") / "classifier.pt")
    print(f"classifier: {accuracy:.3f} accuracy on drawings outside its training set", flush=True)
    model, options = judged(model_file)
    metrics: list[Metric] = []
    for size in sizes:
        evaluator = Evaluator(model, size, classifier, options)
        for task, count in tasks_for(model, options):
            if only and task.__name__ not in only:
                continue
            for metric in task(evaluator, max(4, round(count * part))):
                print(metric, flush=True)
                metrics.append(metric)
    return metrics


def judged(path: Path) -> tuple[Model, Mapping[str, object]]:
    """A model, and the fields of its recipes; a LoRA is judged in the steps it is made for."""
    lora = any(name.startswith(LORA_PREFIX) for name in open_checkpoint(path).names)
    model = load_model(tiny.PATH if lora else path, name=path.stem)
    if not lora:
        return model, {}
    return with_loras(model, [(read_lora(path), 1.0)]), FEW_STEPS


def tasks_for(model: Model, options: Mapping[str, object]) -> Sequence[EvalTask]:
    """What is asked of a model, each with the number of prompts."""
    if options == FEW_STEPS:
        return FEW_STEP_TASKS
    return INPAINTING_TASKS if model.family.unet_inputs is INPAINTING else EVAL_TASKS


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    shipped = [path for path in (*tiny.PATHS, *tiny.LORA_PATHS) if path.is_file()]
    parser.add_argument("--models", type=Path, nargs="+", default=shipped)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--share", type=float, default=1.0, help="share of the prompts to use")
    tasks = (*EVAL_TASKS, *FEW_STEP_TASKS, *INPAINTING_TASKS)
    parser.add_argument("--only", nargs="+", choices=sorted({task.__name__ for task, _ in tasks}))
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
