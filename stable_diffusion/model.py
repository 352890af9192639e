"""A loaded model: its networks and tokenizer, and what the engine computes with them."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor

from stable_diffusion.autoencoder.small_autoencoder import SmallAutoencoder
from stable_diffusion.conditioning import Conditioning
from stable_diffusion.conditioning_schedule import (
    Composition,
    ConditioningSchedule,
    encode_schedules,
)
from stable_diffusion.cuda.device_thread import (
    DeviceThread,
    on_device,
    on_device_in_tf32,
)
from stable_diffusion.cuda.graphs import Graphs
from stable_diffusion.deep_cache import DeepCache
from stable_diffusion.errors import NumericalError
from stable_diffusion.families.family import Family, Prediction
from stable_diffusion.half_precision import half_decoder, half_type
from stable_diffusion.networks import Networks, decoded, posterior, unet_prediction
from stable_diffusion.offload.offload_cache import OffloadCache
from stable_diffusion.prompt.grammar import ParsedPrompt
from stable_diffusion.prompt.text_encoding_cache import TextEncodingCache
from stable_diffusion.prompt.tokenizer import ClipTokenizer
from stable_diffusion.samplers.schedule import NoiseSchedule
from stable_diffusion.shared_weights import clone_sharing_weights
from stable_diffusion.step_batching import StepBatcher
from stable_diffusion.tiling import without_edges

HASH_DIGITS = 10
"""Digits of the weights' SHA-256 by which image tools identify a checkpoint."""


@dataclass(frozen=True)
class Model:
    """A loaded model. Safe to share between threads: its weights never change.

    Attributes:
        prediction: what the UNet estimates, "epsilon" (the noise) or "v".
        zero_snr: whether its noise levels end at pure noise.
        hash: the first ten hex digits of the SHA-256 of the weights' file.
        vae: the file name of the autoencoder that is used in place of its own; empty: none.
        device: where it computes; its weights may be kept elsewhere, see `memory_plan`.
        nbytes: bytes of its weights, without those that it shares with the model it derives from.
        mapped: whether its weights are in a mapped file of the weight cache.
        device_thread: in which its networks compute; None: in the thread that calls them.
        tf32: whether its autoencoder computes in TF32 on a GPU; `precision: full` forbids it.
        graphs: recorded evaluations of its UNet (CUDA graphs); None: none are recorded.
        offload_cache: packs its UNet to be loaded to a GPU; None: its UNet is resident.
        streamed: whether parts of its UNet are copied to the device during each evaluation.
        step_batcher: combines evaluations of concurrent jobs; None: each job is evaluated alone.
        text_encodings: a cache of its text encoders' outputs.
        warnings: sentences about what of its LoRAs could not be used.
        embeddings: vectors that came with its LoRAs, (n, width), by name.
        exact_unet: reads the named weights of its UNet from its file, one after the other, because
            the UNet has them in half precision; None: it has them as they are. Raises
            UnreadableModel.
        refiner: a model of the same latents that goes on with the sampling where the recipe says
            so; see `guided_network.refinement`. None: there is none.
        sampling: returns the context manager in which all evaluations of a batch run.
    """

    name: str
    family: Family
    prediction: Prediction
    hash: str
    networks: Networks
    tokenizer: ClipTokenizer
    device: torch.device
    nbytes: int = 0
    mapped: bool = False
    vae: str = ""
    zero_snr: bool = False
    sampling: Callable[[], AbstractContextManager[object]] = nullcontext
    text_encodings: TextEncodingCache = field(default_factory=TextEncodingCache)
    device_thread: DeviceThread | None = None
    tf32: bool = True
    graphs: Graphs | None = None
    offload_cache: OffloadCache | None = None
    streamed: bool = False
    step_batcher: StepBatcher | None = None
    warnings: tuple[str, ...] = ()
    embeddings: Mapping[str, Tensor] = field(default_factory=dict)
    exact_unet: Callable[[Collection[str]], Iterator[tuple[str, Tensor]]] | None = None
    refiner: "Model | None" = None

    @property
    def kind(self) -> str:
        """Its family, and its prediction where that is not the family's usual one: `sd2-v`."""
        return self.family.kind(self.prediction)

    @cached_property
    def tiled(self) -> "Model":
        """The same model for seamless pictures; it shares all weights."""
        return replace(
            self,
            networks=self.networks.map(without_edges),
            graphs=self.graphs and self.graphs.empty(),
        )

    @property
    def schedule(self) -> NoiseSchedule:
        """The noise levels it was trained on."""
        return self.family.zero_snr_schedule if self.zero_snr else self.family.schedule

    def encode_prompts(
        self,
        prompt: str | ParsedPrompt,
        negative_prompt: str | ParsedPrompt,
        size: tuple[int, int],
        *,
        steps: int = 1,
        steps_before: int = 0,
        clip_skip: int = 1,
        zero_negative: bool | None = None,
    ) -> tuple[Composition, ConditioningSchedule]:
        """The conditioning of a prompt and its negative, for images of (width, height) pixels.

        Args:
            steps, steps_before, clip_skip, zero_negative: see `Recipe`.

        Returns:
            Rows of one `batch_key`, on the CPU.

        Raises:
            PromptError: one of them cannot be read.
        """
        encode = partial(self.family.encode, self, size=size, clip_skip=clip_skip)
        positive, negative = encode_schedules(encode, prompt, negative_prompt, steps, steps_before)
        negative = negative.map(self.family.negative)
        text = negative_prompt if isinstance(negative_prompt, str) else negative_prompt.text
        zero = self.family.zero_negative if zero_negative is None else zero_negative
        if zero and not text.strip():
            negative = negative.map(Conditioning.without_text)
        return positive, negative

    @on_device
    @torch.inference_mode()
    def encode_text(self, token_ids: Tensor, encoder: str = "text", clip_skip: int = 1) -> Tensor:
        """Token ids (n, 77) → the states of a text encoder, (n, 77, width), float32 on the CPU."""
        return self._text_outputs(token_ids, encoder, clip_skip)[0]

    @on_device
    @torch.inference_mode()
    def pool_text(self, token_ids: Tensor, encoder: str = "text") -> Tensor:
        """Token ids (n, 77) → the pooled texts of a text encoder that has them, (n, width)."""
        return self._text_outputs(token_ids, encoder)[1]

    def _text_outputs(
        self, token_ids: Tensor, encoder: str, clip_skip: int = 1
    ) -> tuple[Tensor, ...]:
        part, network = self.family.text_encoders[encoder], self.networks.parts[encoder]
        return self.text_encodings.outputs(part, network, token_ids, self.device, clip_skip)

    @on_device
    @torch.inference_mode()
    def predict(
        self,
        x: Tensor,
        timestep: Tensor,
        conditioning: Conditioning,
        *,
        precision: str = "full",
        at_once: int | None = None,
        cache: DeepCache | None = None,
    ) -> Tensor:
        """One evaluation of the UNet.

        On a CPU each latent is evaluated by itself unless `at_once` says otherwise. That costs no
        time there, and makes an image independent of its batch to the last bit: kernels for batches
        add in another order.

        Args:
            x: latents (n, C, h, w) at unit variance.
            timestep: (n,) in 0..999, fractions allowed.
            conditioning: n rows.
            precision: see `Recipe`.
            at_once: latents per call of the UNet; None: one on a CPU, all on a GPU.
            cache: computes it with what it kept of earlier evaluations, without a recording.

        Returns:
            (n, C, h, w) float32. It is complete: the call waits for a GPU, so that callers can
            cancel between evaluations and measure them.
        """
        size = at_once or (1 if self.device.type == "cpu" else len(x))
        unet = self.networks.unet
        dtype = unet.dtype
        if self.family.large and precision != "full":
            dtype = half_type(self.family, self.device) or dtype
        x = x.to(self.device, dtype, memory_format=torch.channels_last)
        timestep = timestep.to(self.device)
        conditioning = conditioning.to(self.device, dtype)
        parts = zip(x.split(size), timestep.split(size), conditioning.split(size), strict=True)
        evaluate = partial(unet_prediction, unet)
        if cache is not None:
            evaluate = partial(cache.evaluation(timestep, conditioning), unet)
        elif self.graphs:
            evaluate = partial(self.graphs.evaluate, evaluate)
        outputs = [evaluate(*part) for part in parts]
        answer = torch.cat(outputs).float().contiguous()
        if self.device.type == "cuda":
            torch.cuda.current_stream(self.device).synchronize()
        return answer

    @on_device_in_tf32
    @torch.inference_mode()
    def decode(self, latents: Tensor, *, precision: str = "full") -> Tensor:
        """Latents (C, h, w) → image (3, H, W) float32 on the CPU, about -1..1, not clipped.

        Args:
            precision: see `Recipe`.

        Raises:
            NumericalError: it contains NaN or infinity.
        """
        vae, dtype = self.networks.vae, self.networks.vae.dtype
        half = half_type(self.family, self.device) if precision != "full" else None
        if half and self.device.type == "cpu" and isinstance(vae, AutoencoderKL):
            vae, dtype = half_decoder(vae, half), half
        scaled = (latents[None] / self.family.latents.scale).to(self.device)
        image = decoded(vae, scaled.to(dtype))[0].float().cpu()
        if dtype != torch.float32 and not image.isfinite().all():
            image = decoded(_in_full(self.networks.vae), scaled)[0].cpu()
        if not image.isfinite().all():
            raise NumericalError("the autoencoder returned NaN or infinity")
        return image

    @on_device_in_tf32
    @torch.inference_mode()
    def encode(self, image: Tensor) -> Tensor:
        """Image (3, H, W) in -1..1 → the mean of its latents (C, h, w); see `Latents.shape`."""
        vae, images = self.networks.vae, image[None].to(self.device)
        mean = posterior(vae, images.to(vae.dtype)).mode()[0].float().cpu()
        if vae.dtype != torch.float32 and not mean.isfinite().all():
            mean = posterior(_in_full(vae), images).mode()[0].cpu()
        return mean * self.family.latents.scale


def _in_full(vae: AutoencoderKL | SmallAutoencoder) -> AutoencoderKL | SmallAutoencoder:
    """The autoencoder in float32: in half precision some exceed their type's range, as SDXL's."""
    weights = {name: weight.float() for name, weight in vae.named_parameters()}
    return clone_sharing_weights(vae, weights)
