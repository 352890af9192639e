"""A small autoencoder (TAESD) in place of a model's own.

Source: madebyollin's TAESD, as diffusers' `AutoencoderTiny`. It works on latents at unit variance.
"""

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.vae import (
    DecoderOutput,
    DecoderTiny,
    DiagonalGaussianDistribution,
    EncoderTiny,
)
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from torch import Tensor, nn

_NO_VARIANCE = -30.0
"""The logarithm of a variance at which the distribution of latents is its mean."""


class SmallAutoencoder(nn.Module):
    """Has the calls of an `AutoencoderKL` that the engine uses, and takes its unscaled latents.

    Args:
        decoder: of latents at unit variance.
        encoder: into such latents; None: it encodes as `full` does.
        full: the model's own autoencoder, of which only the encoder is kept, if it is needed.
        scale: see `Latents`.
    """

    def __init__(
        self, decoder: DecoderTiny, encoder: EncoderTiny | None, full: AutoencoderKL, scale: float
    ) -> None:
        super().__init__()
        self.encoder = encoder or full.encoder
        self.quant_conv = None if encoder else full.quant_conv
        self.decoder = decoder
        self._scale = scale

    @property
    def dtype(self) -> torch.dtype:
        """The type of its weights."""
        return next(self.decoder.parameters()).dtype

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(self.decoder.parameters()).device

    def decode(self, latents: Tensor) -> DecoderOutput:
        """Unscaled latents (n, C, h, w) → images (n, 3, H, W), about -1..1."""
        return DecoderOutput(sample=self.decoder(latents * self._scale))

    def encode(self, images: Tensor) -> AutoencoderKLOutput:
        """Images (n, 3, H, W) in -1..1 → the distribution of their unscaled latents."""
        states = self.encoder(images)
        if isinstance(self.encoder, EncoderTiny):
            mean = states / self._scale
            states = torch.cat([mean, torch.full_like(mean, _NO_VARIANCE)], 1)
        elif self.quant_conv is not None:
            states = self.quant_conv(states)
        return AutoencoderKLOutput(latent_dist=DiagonalGaussianDistribution(states))
