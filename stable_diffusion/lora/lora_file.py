"""Reads the file of a LoRA, or of one of its relatives."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from stable_diffusion.bundled_embeddings import bundled_embedding
from stable_diffusion.errors import UnreadableModel
from stable_diffusion.lora.layer_change import LayerChange
from stable_diffusion.lora.names import PEFT_PREFIX, TensorName, tensor_name
from stable_diffusion.lora.peft_config import peft_config
from stable_diffusion.prompt.chunks import CAPACITY
from stable_diffusion.textual_inversion import of_two_encoders
from stable_diffusion.weights.checkpoint import open_checkpoint

_NUMBERS = {"alpha", "scale", "scalar"}
"""The roles of single numbers, which scale the whole change of a layer."""


@dataclass(frozen=True)
class Lora:
    """The contents of a file.

    Attributes:
        path: of the file.
        layers: the change of each layer, by the layer's name in kohya's notation.
        tensor_count: of the whole file.
        unknown: the names of the tensors whose role is not known.
        embeddings: vectors that were trained with it, (n, width), by name.
        warnings: sentences about the file.
    """

    path: Path
    layers: Mapping[str, LayerChange]
    tensor_count: int
    unknown: tuple[str, ...] = ()
    embeddings: Mapping[str, Tensor] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """For messages: the name of its file, or of its folder where PEFT named the file."""
        path = self.path
        return path.parent.name if path.stem == "adapter_model" else path.stem


def read_lora(path: Path) -> Lora:
    """Read a LoRA's file.

    Raises:
        ModelNotFound: there is no such file.
        UnreadableModel: it is damaged, or holds no change of any layer.
    """
    checkpoint = open_checkpoint(path)
    unknown: list[str] = []
    found: dict[str, list[tuple[TensorName, str]]] = {}
    bundled: dict[str, dict[str, str]] = {}
    for name in sorted(checkpoint.names):
        if embedding := bundled_embedding(name):
            bundled.setdefault(embedding[0], {})[embedding[1]] = name
        elif parts := tensor_name(name):
            found.setdefault(parts.layer, []).append((parts, name))
        else:
            unknown.append(name)
    embeddings: dict[str, Tensor] = {}
    for embedding, names in bundled.items():
        content = {key: checkpoint.read(name) for key, name in names.items()}
        vectors = content.get("*", of_two_encoders(content))
        if vectors is not None and vectors.dim() == 2 and 0 < len(vectors) <= CAPACITY:
            embeddings[embedding] = vectors.float()
        else:
            unknown += names.values()
    by_peft = any(PEFT_PREFIX in name for name in checkpoint.names)
    config = peft_config(
        path, checkpoint.metadata, named_by_peft=by_peft or path.stem == "adapter_model"
    )
    layers: dict[str, LayerChange] = {}
    for layer, tensors in found.items():
        change = LayerChange(
            {parts.role: checkpoint.read(name) for parts, name in tensors},
            {parts.role: name for parts, name in tensors},
        )
        _check_numbers(change, path)
        rank = _rank(change.tensors)
        if config and "alpha" not in change.tensors and (rank or "lokr_w1" in change.tensors):
            scale = config.scale(tensors[0][0].module, rank)
            change = LayerChange(change.tensors, change.names, scale)
        layers[layer] = change
    if not any(change.method or change.bias_roles for change in layers.values()):
        raise UnreadableModel(f"LoRA {path.name!r} holds no layers{_examples(checkpoint.names)}")
    warnings = ()
    if by_peft and config is None and not any("alpha" in c.tensors for c in layers.values()):
        warnings = (
            f"LoRA {path.stem}: its file does not say lora_alpha, and no adapter_config.json is "
            "beside it, so it was added as if lora_alpha were its rank",
        )
    return Lora(path, layers, len(checkpoint.names), tuple(unknown), embeddings, warnings)


def _check_numbers(change: LayerChange, path: Path) -> None:
    for role in sorted(_NUMBERS & change.tensors.keys()):
        if (values := change.tensors[role].numel()) != 1:
            raise UnreadableModel(
                f"LoRA {path.name!r} cannot be used: {change.names[role]} has {values} values, and "
                f"a layer has a single {role}"
            )


def _rank(tensors: Mapping[str, Tensor]) -> int | None:
    """The rank of a layer's factors; None: they have none."""
    roles = ("down", "embedding_down", "hada_w1_b", "lokr_w2_b", "lokr_w1_b")
    found = (tensors[role] for role in roles if role in tensors)
    return next((each.shape[0] for each in found if each.dim()), None)


def _examples(names: Iterable[str]) -> str:
    listed = ", ".join(sorted(names)[:3])
    return f" that can be read; it has {listed}" if listed else ""
