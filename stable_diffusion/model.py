"""A loaded model: three networks, a tokenizer, and the four things the engine asks of them."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from stable_diffusion.checkpoint import (
    PREDICTION_KEY,
    content_hash,
    identify,
    load_networks,
    open_checkpoint,
)
from stable_diffusion.networks import (
    Networks,
    decoded,
    placed,
    posterior,
    text_states,
    unet_prediction,
)
from stable_diffusion.placement import network_precision
from stable_diffusion.prompt.tokenizer import ClipTokenizer
from stable_diffusion.variants import LATENT_SCALE, Prediction, Variant


@dataclass(frozen=True)
class Model:
    """What `load_model` returns. Safe to share between threads: nothing in it changes.

    Attributes:
        prediction: what the UNet estimates, "epsilon" (the noise) or "v".
        hash: ten hex digits that identify the weights' file.
    """

    name: str
    variant: Variant
    prediction: Prediction
    hash: str
    networks: Networks
    tokenizer: ClipTokenizer
    device: torch.device

    @torch.inference_mode()
    def encode_text(self, token_ids: Tensor) -> Tensor:
        """Token ids (n, 77) → encoding (n, 77, width), float32 on the CPU."""
        rows = token_ids.to(self.device).split(1)
        states = [text_states(self.networks.text, row) for row in rows]
        return torch.cat(states).float().cpu()

    @torch.inference_mode()
    def predict(
        self,
        x: Tensor,
        timestep: Tensor,
        conditioning: Tensor,
        *,
        precision: str = "full",
        at_once: int | None = None,
    ) -> Tensor:
        """One evaluation of the UNet.

        On a CPU every latent goes through by itself unless told otherwise: it costs nothing there,
        and only so is a picture the same to the last bit alone and in a batch, whose kernels add
        in another order.

        Args:
            x: latents (n, 4, h, w) at unit variance.
            timestep: (n,) in 0..999, fractions allowed.
            conditioning: (n, 77·chunks, width).
            at_once: how many latents go through together; None: one on a CPU, all on a GPU.

        Returns:
            (n, 4, h, w) float32.
        """
        size = at_once or (1 if self.device.type == "cpu" else len(x))
        unet = self.networks.unet
        x = x.to(self.device, unet.dtype, memory_format=torch.channels_last)
        timestep, text = timestep.to(self.device), conditioning.to(self.device, unet.dtype)
        parts = zip(x.split(size), timestep.split(size), text.split(size), strict=True)
        with network_precision(self.device, precision):
            outputs = [unet_prediction(unet, *part) for part in parts]
        return torch.cat(outputs).float().contiguous()

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


def load_model(
    path: Path,
    *,
    name: str,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    prediction: Prediction | None = None,
) -> Model:
    """Load a checkpoint in the original layout. Needs no network.

    Args:
        path: a .safetensors or .ckpt file.
        name: what the model is called in requests and results.
        prediction: for SD 2.x, whose tensors do not tell whether it predicts the noise or v;
            None takes what the file says of itself, else the variant's usual.

    Raises:
        ModelNotFound, UnreadableModel: see `checkpoint`.
    """
    device = torch.device(device)
    checkpoint = open_checkpoint(path)
    variant = identify(checkpoint)
    networks = load_networks(checkpoint, variant, device, dtype)
    placed(networks.unet, channels_last=True)
    placed(networks.vae, channels_last=True)
    stated = checkpoint.metadata.get(PREDICTION_KEY)
    said: Prediction = "v" if stated == "v" else variant.prediction
    return Model(
        name=name,
        variant=variant,
        prediction=prediction or said,
        hash=content_hash(path),
        networks=networks,
        tokenizer=ClipTokenizer(pad=variant.text["pad_token_id"]),
        device=device,
    )
