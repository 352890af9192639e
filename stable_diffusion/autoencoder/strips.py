"""Encodes and decodes large images in strips of rows, in a fraction of the memory.

Float32 on a CPU gains time, too, since a strip stays in its caches.

Each layer computes a strip of rows at a time, with the rows beside it that its convolution sees. A
group normalization takes the mean and variance of the whole image, which are collected from all
strips first. So the result is that of the whole image, up to rounding, and nothing is computed
twice but the rows beside a strip.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.vae import Decoder, Encoder
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn

STRIP_PIXELS = 1 << 15
"""Pixels of a strip; half of them in float32 on a CPU. With 128 channels it has 8 MiB on a CPU."""
WHOLE_PIXELS = 1 << 18
"""Pixels of the largest image that is computed as a whole."""
WHOLE_PIXELS_FLOAT32 = 1 << 16
"""The same in float32 on a CPU."""

Layer = Callable[[Tensor], Tensor]


class StripEncoder(Encoder):
    """diffusers' own, in strips where the image is large."""

    def forward(self, sample: Tensor) -> Tensor:
        """Images (n, 3, H, W) → the parameters of their latents' distribution, (n, 2C, h, w)."""
        if not _in_strips(sample, 1):
            return super().forward(sample)
        wrap = self.conv_in.padding_mode == "circular"
        x = by_strips(self.conv_in, sample, wrap=wrap)
        for block in self.down_blocks:
            for resnet in _layers(block, "resnets"):
                x = _residual(cast(ResnetBlock2D, resnet), x, wrap=wrap)
            for downsampler in _layers(block, "downsamplers"):
                x = _halved(downsampler, x, wrap=wrap)
        x = self.mid_block(x)
        return self.conv_out(self.conv_act(self.conv_norm_out(x)))


class StripDecoder(Decoder):
    """diffusers' own, in strips where the image is large."""

    def forward(self, sample: Tensor, latent_embeds: Tensor | None = None) -> Tensor:
        """Latents (n, C, h, w) → images (n, 3, H, W)."""
        if latent_embeds is not None or not _in_strips(sample, 2 ** (len(self.up_blocks) - 1)):
            return super().forward(sample, latent_embeds)
        wrap = self.conv_in.padding_mode == "circular"
        x = self.mid_block(self.conv_in(sample))
        for block in self.up_blocks:
            for resnet in _layers(block, "resnets"):
                x = _residual(cast(ResnetBlock2D, resnet), x, wrap=wrap)
            for upsampler in _layers(block, "upsamplers"):
                x = by_strips(upsampler, x, wrap=wrap, scale=2)
        normalized = _normalization(cast(nn.GroupNorm, self.conv_norm_out), x)
        return by_strips(self.conv_out, x, before=normalized, wrap=wrap)


def build_autoencoder(config: Mapping[str, Any]) -> AutoencoderKL:
    """An `AutoencoderKL` of this configuration that computes large images in strips."""
    vae = AutoencoderKL(**config)
    # without parameters or state of their own
    vae.encoder.__class__, vae.decoder.__class__ = StripEncoder, StripDecoder
    return vae


def _in_strips(x: Tensor, factor: int) -> bool:
    """Whether an image is computed in strips; `factor`: pixels of its side for one of x's."""
    if torch.is_grad_enabled():
        return False
    whole = WHOLE_PIXELS_FLOAT32 if _in_cpu_float32(x) else WHOLE_PIXELS
    return x.shape[-2] * x.shape[-1] * factor**2 > whole


def _in_cpu_float32(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype == torch.float32


def _layers(block: nn.Module, name: str) -> Iterator[nn.Module]:
    yield from cast(nn.ModuleList | None, getattr(block, name)) or ()


def by_strips(
    layer: Layer,
    x: Tensor,
    *,
    before: Layer | None = None,
    wrap: bool = False,
    scale: int = 1,
) -> Tensor:
    """A layer's output (n, C', scale·H, scale·W) for x (n, C, H, W), a strip at a time.

    Args:
        layer: its output depends on the row above and the row below in x.
        before: computed first, position by position.
        wrap: beside the first row is the last one.
    """
    output: Tensor | None = None
    for start, stop in _strips(x, scale):
        strip, above = _with_neighbours(x, start, stop, wrap=wrap)
        computed = layer(before(strip) if before else strip)
        first = above * scale
        computed = computed[:, :, first : first + (stop - start) * scale]
        if output is None:
            output = _empty(computed, x.shape[-2] * scale)
        output[:, :, start * scale : stop * scale] = computed
    assert output is not None
    return output


def _residual(block: ResnetBlock2D, x: Tensor, *, wrap: bool) -> Tensor:
    """What a residual block without time embedding returns."""
    hidden = by_strips(block.conv1, x, before=_normalization(block.norm1, x), wrap=wrap)
    normalized = _normalization(block.norm2, hidden)
    # The result takes the place of the hidden states, of which later strips see one row more.
    first, last = hidden[:, :, :1].clone(), hidden[:, :, :1]
    for start, stop in _strips(hidden):
        strip, above = _with_neighbours(hidden, start, stop, wrap=wrap)
        if start:
            strip = torch.cat([last, strip[:, :, 1:]], 2)
        if wrap and stop == hidden.shape[-2]:
            strip = torch.cat([strip[:, :, :-1], first], 2)
        last = hidden[:, :, stop - 1 : stop].clone()
        computed = block.conv2(normalized(strip))[:, :, above : above + stop - start]
        beside = x[:, :, start:stop]
        computed += block.conv_shortcut(beside) if block.conv_shortcut is not None else beside
        hidden[:, :, start:stop] = computed
    return hidden


def _halved(layer: Layer, x: Tensor, *, wrap: bool) -> Tensor:
    """What a downsampling convolution returns that pads below and at the right only."""
    output: Tensor | None = None
    for start, stop in _strips(x):
        below = x[:, :, stop : stop + 1] if stop < x.shape[-2] or not wrap else x[:, :, :1]
        computed = layer(torch.cat([x[:, :, start:stop], below], 2))
        if output is None:
            output = _empty(computed, x.shape[-2] // 2)
        output[:, :, start // 2 : stop // 2] = computed
    assert output is not None
    return output


def _normalization(norm: nn.GroupNorm, x: Tensor) -> Layer:
    """Group normalization by the statistics of x, then SiLU; for any strip of x."""
    means: list[Tensor] = []
    squares: list[Tensor] = []
    counts: list[int] = []
    # the one layout that the operator takes on a GPU; a CPU's takes channels last as it is
    layout = torch.channels_last if x.device.type == "cpu" else torch.contiguous_format
    for start, stop in _strips(x):
        strip = x[:, :, start:stop].contiguous(memory_format=layout)
        count = strip[0, 0].numel()
        _, mean, reciprocal = torch.native_group_norm(
            strip, None, None, len(x), x.shape[1], count, norm.num_groups, norm.eps
        )
        means.append(mean.double())
        squares.append(reciprocal.double() ** -2 - norm.eps + means[-1].square())
        counts.append(count)
    share = torch.tensor(counts, dtype=torch.float64, device=x.device)[:, None, None]
    share = share / share.sum()
    mean = (torch.stack(means) * share).sum(0)
    variance = (torch.stack(squares) * share).sum(0) - mean.square()
    deviation = (variance.clamp(min=0) + norm.eps).sqrt()
    channels = x.shape[1] // norm.num_groups
    mean, deviation = (each.repeat_interleave(channels, 1) for each in (mean, deviation))
    factor = norm.weight.double() / deviation
    offset = norm.bias.double() - mean * factor
    factor, offset = (each.float()[:, :, None, None] for each in (factor, offset))

    def normalized(strip: Tensor) -> Tensor:
        return F.silu(torch.addcmul(offset, strip.float(), factor), inplace=True).to(x.dtype)

    return normalized


def _strips(x: Tensor, scale: int = 1) -> Iterator[tuple[int, int]]:
    """The first row of each strip and that after its last; both even, save the image's last.

    A strip has STRIP_PIXELS once its sides are `scale` times as long.
    """
    height, width = x.shape[-2:]
    pixels = STRIP_PIXELS // 2 if _in_cpu_float32(x) else STRIP_PIXELS
    rows = max(2, pixels // (width * scale**2) // 2 * 2)
    for start in range(0, height, rows):
        yield start, min(start + rows, height)


def _with_neighbours(x: Tensor, start: int, stop: int, *, wrap: bool) -> tuple[Tensor, int]:
    """Rows of x with one more above and below, where there are; and how many are above."""
    height = x.shape[-2]
    if wrap and (start == 0 or stop == height):
        rows = torch.arange(start - 1, stop + 1, device=x.device) % height
        return x.index_select(2, rows), 1
    above = min(start, 1)
    return x[:, :, start - above : stop + 1], above


def _empty(strip: Tensor, height: int) -> Tensor:
    """An image of strips like this one, not yet computed."""
    shape = (*strip.shape[:2], height, strip.shape[3])
    return torch.empty(
        shape, dtype=strip.dtype, device=strip.device, memory_format=torch.channels_last
    )
