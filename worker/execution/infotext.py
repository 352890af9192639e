"""The parameters of an image as text, in the format of AUTOMATIC1111 that image tools read."""

import json
import re
from collections.abc import Mapping

from jobs import __version__
from jobs.names import AUTOMATIC, sampler_named, scheduler_named
from jobs.request import ImageToImage, Request
from worker.execution.infotext_hires import hires_settings
from worker.execution.infotext_sampling import sampling_settings

_NEEDS_QUOTES = re.compile(r"[,:\n]")
_KARRAS = " Karras"
_MASKED_CONTENT = {"fill": "fill", "noise": "latent noise", "latent_nothing": "latent nothing"}


def infotext(
    request: Request,
    *,
    seed: int,
    model: str,
    model_hash: str,
    vae: str = "",
    upscaler: str = "",
    refiner: str = "",
) -> str:
    """Prompt, negative prompt and one line of settings.

    Args:
        request: the job's request, with the variation seed of this image.
        seed: of this image.
        model, model_hash: name and first 10 hex digits of the SHA-256 of the model.
        vae: the file name of the autoencoder in place of the model's own; empty: none.
        upscaler: the name of the upscaler, if the request needs one.
        refiner: name and hash of the model that goes on with the sampling, if there is one.
    """
    named = sampler_named(request.sampler)
    label = named.label if named else request.sampler
    settings: dict[str, object] = {
        "Steps": request.ddim_steps,
        "Sampler": label.removesuffix(_KARRAS),
        "Schedule type": _schedule_type(request, label),
        "CFG scale": request.scale,
        "Image CFG scale": _image_scale(request),
        "Seed": seed,
        "Size": f"{request.W}x{request.H}",
        "Model hash": model_hash,
        "Model": model,
        "VAE": vae,
    }
    if isinstance(request, ImageToImage):
        settings["Denoising strength"] = request.denoising_strength
        if request.upscale:
            settings["Init image upscaler"] = upscaler or "Lanczos"
        if request.noise_multiplier != 1:
            settings["Noise multiplier"] = request.noise_multiplier
        if request.post_upscale:
            # as in the "Extras" tab; Size stays the size before upscaling
            settings["Postprocess upscale by"] = 2
        if request.masked:
            settings |= _mask_settings(request)
    elif request.has_second_pass:
        settings |= hires_settings(request, upscaler)
    if request.output_size:
        settings["Postprocess upscale to"] = "{}x{}".format(*request.output_size)
    if "Postprocess upscale by" in settings or "Postprocess upscale to" in settings:
        settings["Postprocess upscaler"] = upscaler or "Lanczos"
    settings |= sampling_settings(request)
    share = request.refiner_switch_at
    settings |= {"Refiner": refiner, "Refiner switch at": "" if share is None else share}
    if request.prompt_grammar != "native":
        # AUTOMATIC1111 reads it so by itself; the service does if Version is another's
        settings["Prompt grammar"] = request.prompt_grammar
    if request.clip_skip > 1:
        settings["Clip skip"] = request.clip_skip
    if request.zero_negative is not None:
        settings["Zero negative"] = request.zero_negative
    settings |= {"RNG": "CPU", "Version": f"stable-diffusion-service {__version__}"}
    lines = [request.prompt]
    if request.negative_prompt:
        lines.append(f"Negative prompt: {request.negative_prompt}")
    return "\n".join([*lines, line_of(settings)])


def line_of(settings: Mapping[str, object]) -> str:
    """The settings in one line; empty ones are left out."""
    return ", ".join(f"{key}: {_quoted(value)}" for key, value in settings.items() if value != "")


def _schedule_type(request: Request, label: str) -> str:
    scheduler = scheduler_named(request.scheduler)
    if scheduler and scheduler.key != AUTOMATIC:
        return scheduler.label
    return "Karras" if label.endswith(_KARRAS) else "Automatic"


def _image_scale(request: Request) -> float | str:
    """Empty if it is the default, which AUTOMATIC1111 has as well."""
    if not isinstance(request, ImageToImage):
        return ""
    default = ImageToImage.model_fields["image_scale"].default
    return "" if request.image_scale == default else request.image_scale


def _mask_settings(request: ImageToImage) -> dict[str, object]:
    """What AUTOMATIC1111 writes of a mask; what it does not write has its default there."""
    settings: dict[str, object] = {"Mask blur": request.mask_blur}
    if request.mask_invert:
        settings["Mask mode"] = "Inpaint not masked"
    if request.mask_area == "masked":
        settings |= {
            "Inpaint area": "Only masked",
            "Masked area padding": request.mask_padding,
        }
    if request.mask_fill != "original":
        settings["Masked content"] = _MASKED_CONTENT[request.mask_fill]
    added = {f"Extend {side}": pixels for side, pixels in (request.extend or {}).items() if pixels}
    return settings | added


def _quoted(value: object) -> str:
    text = _shortest(value) if isinstance(value, float) else str(value)
    return json.dumps(text, ensure_ascii=False) if _NEEDS_QUOTES.search(text) else text


def _shortest(number: float) -> str:
    """A number in the fewest digits from which it is read back: 7 for 7.0."""
    short = f"{number:g}"
    return short if float(short) == number else repr(number)
