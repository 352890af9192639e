"""One network of a family: how it is built, and what its tensors are called in a checkpoint.

Every stored name is derived from the network's own (diffusers', transformers') name, so one rule
serves reading and writing, and any number of layers.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor, nn

_TEXT_LAYER = re.compile(r"(text_model_)?(encoder_|embeddings_|final_layer_norm|text_projection)")
"""How the name of a text encoder's layer begins in a LoRA's file, behind a trainer's prefix."""
Layout = Literal["original", "diffusers"]
"""How a checkpoint names its tensors: as CompVis and Stability AI do, or as diffusers does."""


class StoredTensor(NamedTuple):
    """Where a checkpoint keeps a parameter.

    Attributes:
        key: name of the tensor in the checkpoint.
        third: which third of it, along the first dimension, where OpenCLIP stacks query, key and
            value in one tensor; None: all of it.
        transposed: whether it is a matrix with rows for columns, as OpenCLIP's projection.
    """

    key: str
    third: int | None = None
    transposed: bool = False


@dataclass(frozen=True)
class Part(ABC):
    """A network of a family. A subclass is a kind of network; an instance has a family's sizes.

    Attributes:
        config: keyword arguments of the network's constructor or configuration.
        name: in `Networks`, the weight cache and messages.
        folder: its subfolder in diffusers' layout.
        original_prefix: what its keys begin with in the original layout.
        lora_prefixes: what the names of its layers begin with in LoRA files, in kohya's notation
            (underscores for points).
        file_stems: names that its weight files have in `folder`, without suffix.
        folder_prefix: what its keys begin with in those files.
        channels_last: whether its convolutions are fastest in that memory layout.
        title: what people call this kind of network.
    """

    config: Mapping[str, Any]
    name: str
    folder: str
    original_prefix: str
    lora_prefixes: tuple[str, ...] = ()
    file_stems: ClassVar[tuple[str, ...]] = ("diffusion_pytorch_model",)
    folder_prefix: ClassVar[str] = ""
    channels_last: ClassVar[bool] = True
    title: ClassVar[str]

    @abstractmethod
    def build(self) -> "nn.Module":
        """The network with fresh weights on the default device (`meta`: without any)."""

    @abstractmethod
    def original(self, name: str) -> StoredTensor:
        """Where a checkpoint in the original layout keeps the parameter `name`."""

    def stored(self, name: str, layout: Layout) -> StoredTensor:
        """Where a checkpoint keeps the parameter `name`; in a folder its `folder.` comes first."""
        if layout == "original":
            return self.original(name)
        return StoredTensor(f"{self.folder}.{self.folder_prefix}{name}")

    def alternative_keys(self, key: str) -> Iterator[str]:  # noqa: ARG002
        """Other keys that checkpoints have for the same tensor, the preferred one first."""
        return iter(())

    def lora_layers(self, layer: str) -> Iterator[str]:
        """The names that LoRA files have for the layer `layer`, in kohya's notation."""
        for prefix in self.lora_prefixes:
            yield prefix + layer.replace(".", "_")

    def additional_tensors(self, tensors: "Mapping[str, Tensor]") -> "dict[str, Tensor]":  # noqa: ARG002
        """Tensors that other programs expect in a written checkpoint, beside those of the network.

        Args:
            tensors: the checkpoint's, by original key.
        """
        return {}


@dataclass(frozen=True)
class TextEncoderPart(Part):
    """A network that encodes prompts."""

    title: ClassVar[str] = "text encoder"

    @property
    def width(self) -> int:
        """Of its states, and of the vectors that it takes in place of tokens; 0: not known."""
        return int(self.config.get("hidden_size", 0))

    def names_lora_layer(self, layer: str) -> bool:
        """Whether a LoRA's file names a layer of this encoder so, as far as its beginning says."""
        rests = (layer.removeprefix(p) for p in self.lora_prefixes if layer.startswith(p))
        return any(_TEXT_LAYER.match(rest) for rest in rests)

    @property
    def largest_clip_skip(self) -> int:
        """The earliest layer that `states` can be asked for; 1: the last one only."""
        return 1

    @abstractmethod
    def states(self, network: "nn.Module", token_ids: "Tensor", clip_skip: int = 1) -> "Tensor":
        """Token ids (n, 77) → what its family's conditioning is made of, (n, ...).

        Args:
            clip_skip: whose states, the last layer's being 1, up to `largest_clip_skip`.
        """

    def outputs(
        self, network: "nn.Module", token_ids: "Tensor", clip_skip: int = 1
    ) -> "tuple[Tensor, ...]":
        """The states, and behind them the pooled text (n, width) of an encoder that has one."""
        return (self.states(network, token_ids, clip_skip),)


def replace_prefix(name: str, table: Mapping[str, str]) -> str:
    """The name with the first prefix of the table that it begins with replaced."""
    for prefix, replacement in table.items():
        if name.startswith(prefix):
            return replacement + name.removeprefix(prefix)
    return name
