"""What a checkpoint's UNet estimates, the noise or v: its tensors do not tell, its papers do."""

import re
from pathlib import Path
from typing import Any

import yaml

from stable_diffusion.errors import UnreadableModel
from stable_diffusion.variants import Prediction
from stable_diffusion.weights.checkpoint import PREDICTION_KEY, Checkpoint
from stable_diffusion.weights.folder import prediction_of

_CONFIG_SUFFIXES = (".yaml", ".yml")
# the key of ours and of diffusers' folders, then that of the Stability "modelspec" standard
_METADATA_KEYS = (PREDICTION_KEY, "modelspec.prediction_type")
# a tensor that some trainers leave as a sign
_SIGN = "v_pred"


def stated_beside(path: Path) -> Prediction | None:
    """What the files beside the weights say.

    For a file that is the configuration of the same name (`model.yaml` beside
    `model.safetensors`, with the original's `parameterization`); for a folder, its scheduler's.

    Raises:
        UnreadableModel: the configuration cannot be read.
    """
    if path.is_dir():
        return _prediction(prediction_of(path))
    for suffix in _CONFIG_SUFFIXES:
        config = path.with_suffix(suffix)
        if config.is_file():
            return _parameterization(config)
    return None


def stated_inside(checkpoint: Checkpoint) -> Prediction | None:
    """What the weights' own file says."""
    for key in _METADATA_KEYS:
        if key in checkpoint.metadata:
            return _prediction(checkpoint.metadata[key])
    return "v" if _SIGN in checkpoint.names else None


def _prediction(word: object) -> Prediction | None:
    if word is None:
        return None
    return "v" if re.fullmatch(r"v([-_]prediction)?", str(word)) else "epsilon"


def _parameterization(config: Path) -> Prediction:
    try:
        content: Any = yaml.safe_load(config.read_text())
        params = content["model"].get("params", {})
        return _prediction(params.get("parameterization", "eps")) or "epsilon"
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableModel(
            f"configuration {config.name!r} cannot be read: it is no model configuration in YAML"
        ) from error
