"""The parameters of an image as text, in the format of AUTOMATIC1111 that image tools read."""

import json
import re
from collections.abc import Mapping

from jobs import __version__
from jobs.infotext.table import SETTINGS
from jobs.validation.request import Request

_NEEDS_QUOTES = re.compile(r'[,:\n]|^"')


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
    request = request.model_copy(update={"seed": seed})
    made = {
        "Model hash": model_hash,
        "Model": model,
        "VAE": vae,
        "Refiner": refiner,
        "Hires upscaler": upscaler,
        **dict.fromkeys(("Init image upscaler", "Postprocess upscaler"), upscaler or "Lanczos"),
    }
    settings: dict[str, object] = {}
    for setting in SETTINGS:
        settings |= setting.written(request, made)
    settings |= {"RNG": "CPU", "Version": f"stable-diffusion-service {__version__}"}
    lines = [request.prompt]
    if request.negative_prompt:
        lines.append(f"Negative prompt: {request.negative_prompt}")
    return "\n".join([*lines, line_of(settings)])


def line_of(settings: Mapping[str, object]) -> str:
    """The settings in one line."""
    return ", ".join(f"{label}: {_quoted(value)}" for label, value in settings.items())


def _quoted(value: object) -> str:
    text = _shortest(value) if isinstance(value, float) else str(value)
    return json.dumps(text, ensure_ascii=False) if _NEEDS_QUOTES.search(text) else text


def _shortest(number: float) -> str:
    """A number in the fewest digits from which it is read back: 7 for 7.0."""
    short = f"{number:g}"
    return short if float(short) == number else repr(number)
