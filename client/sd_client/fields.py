"""The service's parameters. `make docs` writes this file."""

from typing import Literal, TypedDict


class CommonFields(TypedDict, total=False):
    """Of `/generate` and `/img2img`."""

    type: Literal["standard", "optimized"]
    outdir: str
    skip_save: bool
    device: str | None
    format: Literal["png", "jpg", "webp"]
    jpeg_quality: int
    priority: int
    webhook: str | None
    output_width: int | None
    output_height: int | None
    vary: dict[str, list[str | int | float | bool | dict[str, str | int | float] | None]] | None
    preset: Literal["fast", "quality"] | None
    refiner: dict[str, str | float] | None
    cache: dict[str, int] | None
    scheduler: str
    eta: float | None
    s_churn: float
    s_tmin: float
    s_tmax: float | None
    s_noise: float
    guidance_rescale: float
    guidance_start: float
    guidance_end: float
    variation_seed: int | Literal[False] | None
    variation_strength: float
    seed_resize_from_h: int | None
    seed_resize_from_w: int | None
    tiling: bool
    prompt_grammar: Literal["native", "a1111"]
    clip_skip: int
    zero_negative: bool | None
    wildcards: bool
    negative_prompt: str
    skip_grid: bool
    ddim_steps: int
    fixed_code: bool
    ddim_eta: float
    n_iter: int
    H: int
    W: int
    C: int
    f: int
    n_samples: int
    n_rows: int
    scale: float
    from_file: str | Literal[False] | None
    config: str | None
    ckpt: str | dict[str, str]
    vae: str | None
    seed: int | Literal[False] | None
    unet_bs: int
    turbo: bool
    sampler: str
    precision: Literal["mixed", "full", "autocast"]
    deterministic: bool
    plms: bool
    laion400m: bool


class TextFields(CommonFields, total=False):
    """Of `/generate`."""

    hires_scale: float | None
    hires_width: int | None
    hires_height: int | None
    hires_steps: int
    hires_strength: float
    hires_upscaler: str
    hires_prompt: str
    hires_negative_prompt: str
    hires_sampler: str | None
    hires_scheduler: str | None


class ImageFields(CommonFields, total=False):
    """Of `/img2img`."""

    mask_invert: bool
    mask_from_alpha: bool
    mask_blur: float
    mask_fill: Literal["original", "fill", "noise", "latent_nothing"]
    mask_area: Literal["whole", "masked"]
    mask_padding: int
    extend: dict[str, int] | None
    image_scale: float
    denoising_strength: float
    noise_multiplier: float
    upscale: bool
    post_upscale: bool


class UpscaleFields(TypedDict, total=False):
    """Of `/upscale`."""

    type: Literal["standard", "optimized"]
    outdir: str
    skip_save: bool
    device: str | None
    format: Literal["png", "jpg", "webp"]
    jpeg_quality: int
    priority: int
    webhook: str | None
    output_width: int | None
    output_height: int | None
    upscale_by: float | None
    upscaler: Literal["default", "lanczos", "nearest"]
