"""What a checkpoint's UNet estimates, ε or v, by its metadata or the configuration beside it.

And whether its noise levels end at pure noise. Its weights do not show it.
"""

import re
from pathlib import Path

import yaml

from stable_diffusion.errors import UnreadableModel
from stable_diffusion.families.family import Prediction
from stable_diffusion.weights import small_files
from stable_diffusion.weights.checkpoint import PREDICTION_KEY, Checkpoint
from stable_diffusion.weights.folder import prediction_of, rescales_to_zero_snr

_CONFIG_SUFFIXES = (".yaml", ".yml")
# the key of ours and of diffusers' folders, then that of the Stability "modelspec" standard
_METADATA_KEYS = (PREDICTION_KEY, "modelspec.prediction_type")
# empty tensors that some trainers add
_MARKER, _ZERO_SNR_MARKER = "v_pred", "ztsnr"


def declared_prediction(path: Path, checkpoint: Checkpoint) -> Prediction | None:
    """What a model's files say about its prediction: those beside the weights first.

    Raises:
        UnreadableModel: the configuration cannot be read.
    """
    return prediction_beside(path) or prediction_inside(checkpoint)


def prediction_beside(path: Path) -> Prediction | None:
    """What the configuration beside the weights says.

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


def prediction_inside(checkpoint: Checkpoint) -> Prediction | None:
    """What the file of the weights says."""
    for key in _METADATA_KEYS:
        if key in checkpoint.metadata:
            return _prediction(checkpoint.metadata[key])
    return "v" if _MARKER in checkpoint.names else None


def zero_snr_inside(checkpoint: Checkpoint) -> bool:
    """Whether the file of the weights says that its noise levels end at pure noise."""
    return _ZERO_SNR_MARKER in checkpoint.names


def zero_snr_beside(path: Path) -> bool:
    """Whether a folder's scheduler says so. Raises UnreadableModel."""
    return path.is_dir() and rescales_to_zero_snr(path)


def _prediction(word: object) -> Prediction | None:
    if word is None:
        return None
    return "v" if re.fullmatch(r"v([-_]prediction)?", str(word)) else "epsilon"


def _item(node: yaml.Node | None, key: str) -> yaml.Node | None:
    """The value of a key in a mapping; None if it has none. Raises ValueError for no mapping."""
    if not isinstance(node, yaml.MappingNode):
        raise ValueError(f"a mapping with {key!r} was expected")
    return next((value for name, value in node.value if name.value == key), None)


def _parameterization(config: Path) -> Prediction:
    try:
        # as nodes: as values, merged keys of a few bytes could take all memory
        content = yaml.compose(small_files.read_text(config), Loader=yaml.SafeLoader)
        params = _item(_item(content, "model"), "params")
        stated = _item(params, "parameterization") if params else None
        return _prediction(stated.value if stated else "eps") or "epsilon"
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise UnreadableModel(
            f"configuration {config.name!r} cannot be read: it is no model configuration in YAML"
        ) from error
