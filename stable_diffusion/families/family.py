"""A family: the checkpoints that share an architecture, and everything the engine knows of it.

Stable Diffusion 1.x is one, 2.x another. Only the modules of this package name a family; the rest
of the engine asks the `Family` of a model. Nothing here imports torch at run time, because a worker
lists its models before it has imported it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Protocol

from stable_diffusion.errors import RecipeError
from stable_diffusion.families.parts.part import Part, TextEncoderPart
from stable_diffusion.families.unet_inputs import LATENTS_ONLY, UNetInputs
from stable_diffusion.unet_kind import UNetKind

if TYPE_CHECKING:
    from torch import Tensor

    from stable_diffusion.conditioning import Conditioning
    from stable_diffusion.prompt.grammar import ParsedPrompt
    from stable_diffusion.prompt.tokenizer import ClipTokenizer
    from stable_diffusion.samplers.schedule import NoiseSchedule

Prediction = Literal["epsilon", "v"]
"""What a UNet estimates: the noise ε, or the velocity v = √ᾱ·ε − √(1−ᾱ)·x₀."""
Shape = Callable[[str], tuple[int, ...]]
"""The shape of a checkpoint's tensor by its name."""

_SMALL_CHANNELS = 128
"""Channels of a UNet's first level below which calling a layer costs a CPU more than computing."""


@dataclass(frozen=True)
class Latents:
    """The space an autoencoder encodes images into.

    Attributes:
        channels: C.
        factor: pixels of an image's side for one latent's.
        scale: what encoded latents are multiplied by to have about unit variance (LDM, section
            D.1).
        small_decoder: what the files of small autoencoders (TAESD) for it are called.
    """

    channels: int
    factor: int
    scale: float
    small_decoder: str = "taesd"

    def shape(self, width: int, height: int) -> tuple[int, int, int]:
        """(C, h, w) of the latents of one image of width x height pixels.

        Raises:
            RecipeError: a side is not a multiple of `factor`.
        """
        for name, side in (("height", height), ("width", width)):
            if side % self.factor:
                raise RecipeError(f"{name} is {side}; it must be a multiple of {self.factor}")
        return self.channels, height // self.factor, width // self.factor

    @property
    def id(self) -> str:
        """Equal for equal latents."""
        return f"{self.channels}x{self.factor}/{self.scale:g}/{self.small_decoder}"


class TextEncoding(Protocol):
    """What `Family.encode` needs of a loaded model."""

    @property
    def tokenizer(self) -> "ClipTokenizer":
        """Splits prompts into tokens."""
        ...

    def encode_text(
        self, token_ids: "Tensor", encoder: str = "text", clip_skip: int = 1
    ) -> "Tensor":
        """Token ids (n, 77) → the states of the part named `encoder`, (n, 77, width)."""
        ...

    def pool_text(self, token_ids: "Tensor", encoder: str = "text") -> "Tensor":
        """Token ids (n, 77) → the pooled texts by the part named `encoder`, (n, width)."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Family(ABC):
    """One family. A subclass says how to detect it and how to encode its prompts.

    Attributes:
        id: its name in listings, announcements and the weight cache.
        parts: its networks: one named `unet`, one named `vae`, and its text encoders, in the order
            in which they are loaded.
        latents: what its autoencoder encodes into.
        native_size: side in pixels of the images it was trained on.
        v_native_size: the same for its checkpoints that predict v; None: `native_size`.
        prediction: what its UNet estimates where nothing about a checkpoint says otherwise.
        unet_inputs: what its UNet takes beside the noisy latents.
        configuration: which of the reference's inference configurations describe it: `v1` or `v2`;
            empty: none of them.
        cost: the work of a pixel and a step, that of Stable Diffusion 1 at its native size being 1.
        zero_negative: whether an empty negative prompt is zeros, where a job does not say it.
        large: whether its layers keep their weights in main memory in the type of the file, and
            convert them whenever they compute. It takes a small share of the time of a layer at its
            native size, and a model takes a third of the memory of one in float32 and bfloat16.
    """

    id: str
    parts: tuple[Part, ...]
    latents: Latents
    native_size: int
    v_native_size: int | None = None
    prediction: Prediction = "epsilon"
    unet_inputs: UNetInputs = LATENTS_ONLY
    configuration: str = ""
    cost: float = 1.0
    zero_negative: bool = False
    large: bool = False

    @abstractmethod
    def detect(self, names: Collection[str], shape: Shape) -> bool:
        """Whether a checkpoint with these tensors, in either layout, is one of this family."""

    def refusal(self, names: Collection[str], shape: Shape) -> str | None:  # noqa: ARG002
        """Why a checkpoint that resembles this family is not one of it; None: it does not.

        Returns:
            A clause with "it" for the checkpoint: "it is an inpainting model".
        """
        return None

    @abstractmethod
    def encode(
        self,
        model: TextEncoding,
        prompts: "Sequence[str | ParsedPrompt]",
        size: tuple[int, int],
        clip_skip: int = 1,
    ) -> "tuple[Conditioning, ...]":
        """The conditioning of each prompt, one row each, all of one `batch_key`, on the CPU.

        Args:
            model: a loaded model of this family.
            prompts: at least one, none of them composed, see `ParsedPrompt`.
            size: width and height of the image in pixels.
            clip_skip: see `Recipe`.

        Raises:
            PromptError: a prompt cannot be read.
        """

    def negative(self, row: "Conditioning") -> "Conditioning":
        """What `encode` made of a negative prompt, with what a negative one has of its own."""
        return row

    def clip_skip(self, wanted: int) -> int:
        """The `clip_skip` in effect: at most as many layers as its text encoders can skip."""
        return min(wanted, max(part.largest_clip_skip for part in self.text_encoders.values()))

    @cached_property
    def schedule(self) -> "NoiseSchedule":
        """The noise levels it was trained on."""
        from stable_diffusion.samplers.schedule import NoiseSchedule  # noqa: PLC0415 - imports torch

        return NoiseSchedule()

    @cached_property
    def zero_snr_schedule(self) -> "NoiseSchedule":
        """Those of its checkpoints that were trained up to pure noise."""
        from stable_diffusion.samplers.schedule import (  # noqa: PLC0415 - as above
            NoiseSchedule,
            zero_terminal_snr,
        )

        return NoiseSchedule(zero_terminal_snr(self.schedule.alphas_cumprod))

    def tokenizer(self) -> "ClipTokenizer":
        """A tokenizer with its padding."""
        from stable_diffusion.prompt.tokenizer import ClipTokenizer  # noqa: PLC0415 - as above

        return ClipTokenizer(pad=self.pad_token)

    @property
    def text_encoders(self) -> dict[str, TextEncoderPart]:
        """Its text encoders by name."""
        return {part.name: part for part in self.parts if isinstance(part, TextEncoderPart)}

    @property
    def pad_token(self) -> int:
        """Id that fills the rest of a sequence of 77 tokens."""
        return int(next(iter(self.text_encoders.values())).config["pad_token_id"])

    def part(self, name: str) -> Part:
        """One of its networks. Raises KeyError."""
        return {part.name: part for part in self.parts}[name]

    def kind(self, prediction: Prediction) -> str:
        """The id, with a prediction that is not the family's usual one appended: `sd2-v`."""
        return self.id if prediction == self.prediction else f"{self.id}-{prediction}"

    def native_size_for(self, prediction: Prediction) -> int:
        """Side in pixels of the images that checkpoints with this prediction were trained on."""
        return (
            self.native_size if prediction == "epsilon" else self.v_native_size or self.native_size
        )

    @property
    def unet_kind(self) -> UNetKind:
        """What its UNet samples, and what it needs for it."""
        inputs = self.unet_inputs
        width = self.context_width
        return UNetKind(self.id, self.latents.id, inputs.suffix, inputs.needs_image, width)

    @property
    def context_width(self) -> int:
        """Width of the token embeddings that its UNet attends to."""
        return int(self.part("unet").config["cross_attention_dim"])

    @property
    def guidance_width(self) -> int:
        """Width of the embedding by which its UNet takes the guidance scale; 0: it takes none.

        Such a UNet was distilled from guided predictions, so it needs no negative prompt.
        """
        return int(self.part("unet").config.get("time_cond_proj_dim") or 0)

    @property
    def small(self) -> bool:
        """Whether a CPU takes longer to call most layers of the UNet than to compute them."""
        return self.part("unet").config["block_out_channels"][0] < _SMALL_CHANNELS
