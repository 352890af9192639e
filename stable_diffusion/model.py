"""A loaded model: three networks, a tokenizer, and the four things the engine asks of them."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from stable_diffusion.conditioning import Conditioning
from stable_diffusion.graphs import Graphs
from stable_diffusion.networks import (
    Networks,
    decoded,
    posterior,
    size_of,
    text_states,
    unet_prediction,
)
from stable_diffusion.offload.plan import OffloadCache
from stable_diffusion.prompt.text_encoding_cache import TextEncodingCache
from stable_diffusion.prompt.tokenizer import ClipTokenizer
from stable_diffusion.step_batching import StepBatcher
from stable_diffusion.variants import LATENT_SCALE, Prediction, Variant
from stable_diffusion.weights.fingerprint import Fingerprints
from stable_diffusion.weights.prediction import stated_beside
from stable_diffusion.weights.reading import Weights, read_weights, suited

HASH_DIGITS = 10
"""How many digits of the weights' SHA-256 image tools name a checkpoint by."""


@dataclass(frozen=True)
class Model:
    """What `load_model` returns. Safe to share between threads: no weight in it changes.

    Attributes:
        prediction: what the UNet estimates, "epsilon" (the noise) or "v".
        hash: the first ten hex digits of the SHA-256 of the weights' file.
        device: where it computes; its weights may be in main memory, see `memory_plan`.
        nbytes: memory that is this model's own; what it shares with another is that one's.
        mapped: whether its weights lie in a mapped file, of a ready copy.
        graphs: CUDA graphs of its UNet; None: it always runs layer by layer.
        offload_cache: plans to stream its UNet; None: an offloaded UNet is loaded whole.
        step_batcher: batches evaluations of its UNet for concurrent jobs; None: no batching.
        text_encodings: the cache of its text encoder.
        sampling: gives the context in which a batch is sampled, which loads offloaded weights.
    """

    name: str
    variant: Variant
    prediction: Prediction
    hash: str
    networks: Networks
    tokenizer: ClipTokenizer
    device: torch.device
    nbytes: int = 0
    mapped: bool = False
    sampling: Callable[[], AbstractContextManager[object]] = nullcontext
    text_encodings: TextEncodingCache = field(default_factory=TextEncodingCache)
    graphs: Graphs | None = None
    offload_cache: OffloadCache | None = None
    step_batcher: StepBatcher | None = None

    @property
    def kind(self) -> str:
        """What it is in a word; see `kind_of`."""
        return kind_of(self.variant, self.prediction)

    @torch.inference_mode()
    def encode_text(self, token_ids: Tensor) -> Tensor:
        """Token ids (n, 77) → encoding (n, 77, width), float32 on the CPU."""

        def encode(row: Tensor) -> Tensor:
            return text_states(self.networks.text, row.to(self.device)).float().cpu()

        return self.text_encodings.of(token_ids, encode)

    @torch.inference_mode()
    def predict(
        self,
        x: Tensor,
        timestep: Tensor,
        conditioning: Conditioning,
        *,
        precision: str = "full",
        at_once: int | None = None,
    ) -> Tensor:
        """One evaluation of the UNet.

        By default a CPU evaluates the latents one by one: that is as fast, and makes a picture the
        same to the bit alone and in a batch, where kernels add in another order.

        Args:
            x: latents (n, 4, h, w) at unit variance.
            timestep: (n,) in 0..999, fractions allowed.
            conditioning: n rows.
            at_once: how many latents are evaluated together; None: one on a CPU, all on a GPU.

        Returns:
            (n, 4, h, w) float32. A GPU has finished when this returns, so that cancellation and
            progress between evaluations are in time.
        """
        size = at_once or (1 if self.device.type == "cpu" else len(x))
        unet = (self.networks.half if precision != "full" else None) or self.networks.unet
        x = x.to(self.device, unet.dtype, memory_format=torch.channels_last)
        timestep = timestep.to(self.device)
        conditioning = conditioning.to(self.device, unet.dtype)
        parts = zip(x.split(size), timestep.split(size), conditioning.split(size), strict=True)
        evaluate = partial(unet_prediction, unet)
        if self.graphs:
            evaluate = partial(self.graphs.evaluate, evaluate)
        outputs = [evaluate(*part) for part in parts]
        answer = torch.cat(outputs).float().contiguous()
        if self.device.type == "cuda":
            torch.cuda.current_stream(self.device).synchronize()
        return answer

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """Latents (4, h, w) → picture (3, 8h, 8w) float32 on the CPU, about -1..1, not clipped."""
        vae = self.networks.vae
        scaled = (latents[None] / LATENT_SCALE).to(self.device, vae.dtype)
        return decoded(vae, scaled)[0].float().cpu()

    @torch.inference_mode()
    def encode(self, picture: Tensor) -> Tensor:
        """Picture (3, H, W) in -1..1, sides multiples of 8 → latents (4, H/8, W/8), the mean."""
        vae = self.networks.vae
        mean = posterior(vae, picture[None].to(self.device, vae.dtype)).mode()
        return mean[0].float().cpu() * LATENT_SCALE


def kind_of(variant: Variant, prediction: Prediction) -> str:
    """The variant's name, and what it predicts if its like do not: `sd2-v`."""
    return variant.name if prediction == variant.prediction else f"{variant.name}-{prediction}"


def load_model(
    path: Path,
    *,
    name: str,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    prediction: Prediction | None = None,
) -> Model:
    """Load a model. Needs no network. What lives long loads by a `loader.Loader` instead.

    Args:
        path: a .safetensors or .ckpt file in the original layout, or a diffusers folder.
        name: what the model is called in requests and results.
        prediction: see `assembled`.

    Raises:
        ModelNotFound, UnreadableModel: see `weights`.
    """
    place = torch.device(device)
    weights = suited(read_weights(path, place, dtype), place)
    fingerprint = Fingerprints().of(path)
    return assembled(weights, path, name=name, fingerprint=fingerprint, prediction=prediction)


def assembled(
    weights: Weights,
    path: Path,
    *,
    name: str,
    fingerprint: str,
    prediction: Prediction | None = None,
) -> Model:
    """A model of weights that were read.

    Args:
        path: where they lay.
        fingerprint: their SHA-256.
        prediction: what a model of this name predicts when neither its file nor a configuration
            beside it says so; None: what its variant usually does.

    Raises:
        UnreadableModel: the configuration beside the file cannot be read.
    """
    variant = weights.variant
    stated = stated_beside(path) or weights.stated
    return Model(
        name=name,
        variant=variant,
        prediction=stated or prediction or variant.prediction,
        hash=fingerprint[:HASH_DIGITS],
        networks=weights.networks,
        tokenizer=ClipTokenizer(pad=variant.text["pad_token_id"]),
        device=weights.networks.unet.device,
        nbytes=size_of(weights.networks),
        mapped=weights.mapped,
    )
