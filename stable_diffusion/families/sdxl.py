"""Stable Diffusion XL and its refiner.

Sources: Podell et al. 2023 (arXiv:2307.01952); Stability AI's `sd_xl_base.yaml` and
`sd_xl_refiner.yaml`. The sizes that condition a picture, and zeros for an empty negative prompt,
are AUTOMATIC1111's (`sd_models_xl.py`); diffusers' pipelines have the same.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from stable_diffusion.families.family import Latents, Shape, TextEncoding
from stable_diffusion.families.latent_diffusion import VAE, LatentDiffusion, with_further_inputs
from stable_diffusion.families.parts.autoencoder import Autoencoder
from stable_diffusion.families.parts.clip import CLIP_TOKENS
from stable_diffusion.families.parts.penultimate_clip import PenultimateClip, ProjectedOpenClip
from stable_diffusion.families.parts.unet import UNetPart

if TYPE_CHECKING:
    from torch import Tensor

    from stable_diffusion.conditioning import Conditioning
    from stable_diffusion.prompt.grammar import ParsedPrompt

LATENTS = Latents(channels=4, factor=8, scale=0.13025, small_decoder="taesdxl")
HIGH_AESTHETIC_SCORE, LOW_AESTHETIC_SCORE = 6.0, 2.5
"""The refiner's scores for the picture that is wanted, and for what the negative prompt says."""
_OTHER_NOISE = {
    "edm_mean": "Playground 2.5",
    "edm_vpred.sigma_max": "CosXL",
}
"""Tensors of relatives with noise levels of their own, which give noise with those of SDXL."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SDXL(LatentDiffusion):
    """Text encoders whose states stand side by side, a pooled text, and sizes in pixels."""

    latents: Latents = field(default=LATENTS)
    zero_negative: bool = True

    def detect(self, names: Collection[str], shape: Shape) -> bool:
        return super().detect(names, shape) and not any(name in names for name in _OTHER_NOISE)

    def refusal(self, names: Collection[str], shape: Shape) -> str | None:
        """Relatives that take other inputs, or have other noise levels."""
        other = next((what for name, what in _OTHER_NOISE.items() if name in names), None)
        if other is not None and self._resembles(names, shape):
            return f"it is a {other} checkpoint, whose noise levels are not supported"
        return super().refusal(names, shape)

    def encode(
        self,
        model: TextEncoding,
        prompts: "Sequence[str | ParsedPrompt]",
        size: tuple[int, int],
        clip_skip: int = 1,
    ) -> "tuple[Conditioning, ...]":
        from stable_diffusion.prompt.conditioning import (  # noqa: PLC0415 - imports torch
            encode_prompts,
        )

        encoders = list(self.text_encoders)
        rows = encode_prompts(
            prompts,
            model.tokenizer,
            *(partial(model.encode_text, encoder=e, clip_skip=clip_skip) for e in encoders),
            pool=partial(model.pool_text, encoder=encoders[-1]),
        )
        sizes = self.sizes(*size)
        return tuple(replace(row, time_ids=sizes) for row in rows)

    def sizes(self, width: int, height: int) -> "Tensor":
        """The original size, the crop's top and left, the target size: (1, 6) float32."""
        import torch  # noqa: PLC0415 - the table of families is imported without it

        return torch.tensor([[height, width, 0.0, 0.0, height, width]])


@dataclass(frozen=True, kw_only=True, eq=False)
class Refiner(SDXL):
    """The second encoder alone, and a score of the picture in place of its target size."""

    def negative(self, row: "Conditioning") -> "Conditioning":
        assert row.time_ids is not None
        time_ids = row.time_ids.clone()
        time_ids[:, -1] = LOW_AESTHETIC_SCORE
        return replace(row, time_ids=time_ids)

    def sizes(self, width: int, height: int) -> "Tensor":
        """The original size, the crop's top and left, the score: (1, 5) float32."""
        import torch  # noqa: PLC0415 - as above

        return torch.tensor([[height, width, 0.0, 0.0, HIGH_AESTHETIC_SCORE]])


SDXL_UNET: dict[str, Any] = {
    "in_channels": LATENTS.channels,
    "out_channels": LATENTS.channels,
    "block_out_channels": (320, 640, 1280),
    "layers_per_block": 2,
    "down_block_types": ("DownBlock2D",) + ("CrossAttnDownBlock2D",) * 2,
    "up_block_types": ("CrossAttnUpBlock2D",) * 2 + ("UpBlock2D",),
    "transformer_layers_per_block": (1, 2, 10),
    # diffusers' name for the number of heads: 64 channels a head at every level
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    # the pooled text, and six sizes
    "projection_class_embeddings_input_dim": 1280 + 6 * 256,
}
_VAE = {**VAE, "scaling_factor": LATENTS.scale}
_CLIP_L: dict[str, Any] = {
    **CLIP_TOKENS,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "hidden_act": "quick_gelu",
    "pad_token_id": 49407,
}
_BIG_G: dict[str, Any] = {
    **CLIP_TOKENS,
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "hidden_act": "gelu",
    "projection_dim": 1280,
    "pad_token_id": 0,
}

BASE = SDXL(
    id="sdxl",
    parts=(
        PenultimateClip(_CLIP_L),
        ProjectedOpenClip(_BIG_G),
        UNetPart(SDXL_UNET),
        Autoencoder(_VAE),
    ),
    native_size=1024,
    large=True,
    # counted: 6.76 TFLOP for a picture of 1024 x 1024, and 0.80 for one of 512 x 512 by SD 1
    cost=2.1,
)
REFINER = Refiner(
    id="sdxl-refiner",
    parts=(
        ProjectedOpenClip(_BIG_G, original_prefix="conditioner.embedders.0.model."),
        UNetPart(
            {
                **SDXL_UNET,
                "block_out_channels": (384, 768, 1536, 1536),
                "down_block_types": (
                    "DownBlock2D",
                    *("CrossAttnDownBlock2D",) * 2,
                    "DownBlock2D",
                ),
                "up_block_types": ("UpBlock2D", *("CrossAttnUpBlock2D",) * 2, "UpBlock2D"),
                "transformer_layers_per_block": 4,
                "attention_head_dim": (6, 12, 24, 24),
                "cross_attention_dim": 1280,
                "projection_class_embeddings_input_dim": 1280 + 5 * 256,
            }
        ),
        Autoencoder(_VAE),
    ),
    native_size=1024,
    large=True,
    cost=2.3,
)

FAMILIES = (*with_further_inputs(BASE), REFINER)
