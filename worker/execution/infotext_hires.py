"""The second pass of an image in its infotext, under AUTOMATIC1111's names."""

from jobs.hires_rules import second_pass_steps
from jobs.names import sampler_named, scheduler_named
from jobs.request import TextToImage
from jobs.upscalers import NETWORK

LATENT_NAMES = {
    "latent": "Latent",
    "latent_antialiased": "Latent (antialiased)",
    "latent_bicubic": "Latent (bicubic)",
    "latent_bicubic_antialiased": "Latent (bicubic antialiased)",
    "latent_nearest": "Latent (nearest)",
    "latent_nearest_exact": "Latent (nearest-exact)",
}


def hires_settings(request: TextToImage, upscaler: str) -> dict[str, object]:
    """The settings of a request with a second pass.

    Its steps are those that are executed, as AUTOMATIC1111 counts them.

    Args:
        upscaler: the name of the worker's upscaler.
    """
    size: dict[str, object] = {"Hires resize": "{}x{}".format(*request.generated_size)}
    if request.hires_scale is not None:
        size = {"Hires upscale": request.hires_scale}
    name = request.hires_upscaler
    sampler = sampler_named(request.hires_sampler or "")
    scheduler = scheduler_named(request.hires_scheduler or "")
    return {
        "Denoising strength": request.hires_strength,
        **size,
        "Hires steps": second_pass_steps(request),
        "Hires upscaler": upscaler if name == NETWORK else LATENT_NAMES.get(name, name.title()),
        "Hires sampler": sampler.label if sampler else "",
        "Hires schedule type": scheduler.label if scheduler else "",
        "Hires prompt": request.hires_prompt,
        "Hires negative prompt": request.hires_negative_prompt,
    }
