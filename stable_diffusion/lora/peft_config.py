"""The configuration that PEFT keeps apart from the tensors: how strongly each layer counts.

diffusers writes it into the file's metadata (`lora_adapter_metadata`), with `unet.`,
`text_encoder.` or `text_encoder_2.` before each entry; PEFT writes `adapter_config.json` beside the
file.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

METADATA_KEY = "lora_adapter_metadata"
FILE_NAME = "adapter_config.json"
_LARGEST_FILE = 1 << 20
_PARTS = ("unet", "text_encoder", "text_encoder_2")


class PeftConfig:
    """The entries for one or several networks.

    Args:
        entries: as written; those of a network begin with its name and a point.
    """

    def __init__(self, entries: Mapping[str, Any]) -> None:
        self._entries = entries

    def scale(self, module: str, rank: int | None) -> float | None:
        """alpha/rank of a layer, or alpha/√rank; None: there is no word about it.

        Args:
            module: the layer's name, with its network's before it where the file has that.
            rank: that of its tensors.
        """
        part, _, rest = module.partition(".")
        prefix, layer = (f"{part}.", rest) if part in _PARTS else ("", module)

        def entry(name: str) -> Any:
            return self._entries.get(prefix + name, self._entries.get(name))

        alpha = _of_layer(entry("alpha_pattern"), layer) or entry("lora_alpha") or entry("alpha")
        own_rank: Any = rank or _of_layer(entry("rank_pattern"), layer) or entry("r")
        if not _is_positive(alpha) or not _is_positive(own_rank):
            return None
        return float(alpha / (math.sqrt(own_rank) if entry("use_rslora") else own_rank))


def peft_config(
    path: Path, metadata: Mapping[str, str], *, named_by_peft: bool
) -> PeftConfig | None:
    """The configuration of a LoRA's file; None: there is none that can be read.

    Args:
        named_by_peft: whether the file's names are those of PEFT itself, so that an
            `adapter_config.json` in its folder is its own.
    """
    text = metadata.get(METADATA_KEY)
    if text is None and named_by_peft:
        beside = path.parent / FILE_NAME
        try:
            if beside.stat().st_size <= _LARGEST_FILE:
                text = beside.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None
    try:
        entries = json.loads(text or "null")
    except (ValueError, RecursionError):
        return None
    return PeftConfig(entries) if isinstance(entries, dict) else None


def _of_layer(pattern: Any, layer: str) -> Any:
    """The value for a layer by the end of its name.

    PEFT reads the keys as regular expressions, which are not run from a file.
    """
    if not isinstance(pattern, dict):
        return None
    ends = ((str(key).removeprefix("^"), value) for key, value in pattern.items())
    return next((value for end, value in ends if f".{layer}".endswith(f".{end}")), None)


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
