"""The names that cross process borders: types, queues, the task, samplers, models, configurations.

Every spelling a client may use is listed here beside the canonical one. The samplers and
schedulers are those of the engine's own tables.
"""

import unicodedata
from collections.abc import Collection
from typing import Literal, get_args

from jobs.limits import NATIVE_SIZE
from stable_diffusion.sampler_table import SAMPLERS, sampler_named
from stable_diffusion.scheduler_table import AUTOMATIC, SCHEDULERS, scheduler_named

__all__ = [
    "AUTOMATIC",
    "CONFIGS",
    "DEFAULT_MODEL",
    "JOB_TYPES",
    "MAX_NAME",
    "RUN_TASK",
    "SAMPLERS",
    "SCHEDULERS",
    "GenerationKind",
    "JobKind",
    "JobType",
    "find_name",
    "model_named",
    "network_kind",
    "plain_name",
    "queue_of",
    "sampler_named",
    "scheduler_named",
    "usual_prediction",
    "without_suffix",
]

JobType = Literal["standard", "optimized"]
JobKind = Literal["txt2img", "img2img", "upscale"]
GenerationKind = Literal["txt2img", "img2img"]
"""The kinds that a model executes."""
JOB_TYPES: tuple[JobType, ...] = get_args(JobType)

MAX_NAME = 1024
"""Characters of the name of a model or its like: a file's may have 255, its folders as many."""
RUN_TASK = "jobs.run"
DEFAULT_MODEL = "default"


def queue_of(job_type: JobType) -> str:
    """The Celery queue of a type, which has the type's name."""
    return job_type


# canonical name -> (kind of network, aliases: the README's and the published file names)
_KNOWN_MODELS: dict[str, tuple[str, tuple[str, ...]]] = {
    "tiny": ("v1", ()),
    "tiny-v2": ("v2-v", ("tiny_v2", "tinyv2")),
    "tiny-inpaint": ("v1", ("tiny-inpainting",)),
    "sd14": ("v1", ("sd1.4", "sd-v1-4", "sd-v1-4-full-ema", "stable-diffusion-v1-4")),
    "sd15": (
        "v1",
        (
            "sd1.5",
            "v1-5-pruned",
            "v1-5-pruned-emaonly",
            "v1-5-pruned-emaonly-fp16",
            "stable-diffusion-v1-5",
        ),
    ),
    "sd15-inpainting": (
        "v1",
        (
            "sd1.5-inpainting",
            "sd-v1-5-inpainting",
            "v1-5-inpainting",
            "stable-diffusion-inpainting",
            "stable-diffusion-v1-5-inpainting",
        ),
    ),
    "instruct-pix2pix": (
        "v1",
        ("instruct-pix2pix-00-22000", "timbrooks-instruct-pix2pix"),
    ),
    "sd2-inpainting": (
        "v2",
        ("sd2.0-inpainting", "512-inpainting-ema", "stable-diffusion-2-inpainting"),
    ),
    "sd21": (
        "v2",
        (
            "sd2.1",
            "v2-1_512-ema-pruned",
            "v2-1_512-nonema-pruned",
            "stable-diffusion-2-1-base",
        ),
    ),
    "sd21v": (
        "v2-v",
        ("sd2.1v", "v2-1_768-ema-pruned", "v2-1_768-nonema-pruned", "stable-diffusion-2-1"),
    ),
}
_MODELS_BY_ALIAS = {
    alias: name for name, (_, aliases) in _KNOWN_MODELS.items() for alias in (name, *aliases)
}
_PUBLISHED_NATIVE_SIZES = {
    "tiny": 256,
    "tiny-v2": 256,
    "tiny-inpaint": 256,
    "tiny-xl": 256,
    "sd21v": 768,
}
_WEIGHT_SUFFIXES = (".safetensors", ".ckpt", ".pth", ".pt", ".bin")


def model_named(spelling: str) -> str:
    """The canonical name of a model, given an alias with or without a weight suffix.

    Any other name is returned without its suffix: it may be a custom model in the models folder.
    """
    stem = without_suffix(spelling)
    if stem.lower() == DEFAULT_MODEL:
        return DEFAULT_MODEL
    return _MODELS_BY_ALIAS.get(stem.lower(), stem)


def plain_name(text: str) -> str:
    """A name as it is compared: in composed Unicode (NFC), without spaces around it.

    A text that is too long for a name stays as it is: its accents are sorted in quadratic time.
    """
    return (unicodedata.normalize("NFC", text) if len(text) <= MAX_NAME else text).strip()


def without_suffix(file: str) -> str:
    """The name of a weights file without its suffix."""
    name = plain_name(file)
    suffix = next((each for each in _WEIGHT_SUFFIXES if name.lower().endswith(each)), "")
    return name.removesuffix(name[len(name) - len(suffix) :]).strip()


def find_name(spelling: str, installed: Collection[str]) -> str | None:
    """The installed name that a spelling means; None: it means none, or several.

    It may be the name itself, an alias, the name with its file's suffix, or the last part of the
    name of a file in a subfolder; the subfolder may end in a backslash, as on Windows.
    """
    written = plain_name(spelling)
    slashed = written.replace("\\", "/")
    ways = (written, slashed)
    for name in (*ways, *map(without_suffix, ways), *map(model_named, ways)):
        if name in installed:
            return name
    alike = [name for name in installed if _last_part(name) == model_named(written)]
    return alike[0] if len(alike) == 1 else None


def _last_part(name: str) -> str:
    return model_named(name.rpartition("/")[2])


def network_kind(model: str) -> str | None:
    """`v1`, `v2` or `v2-v` for a model known by name; None for any other."""
    known = _KNOWN_MODELS.get(_last_part(model))
    return known[0] if known else None


def published_native_size(model: str) -> int:
    """The native size of a model known by name: an estimate until a worker has read its file."""
    return _PUBLISHED_NATIVE_SIZES.get(_last_part(model), NATIVE_SIZE)


def usual_prediction(model: str) -> Literal["epsilon", "v"] | None:
    """What a model known by name predicts; None for any other."""
    kind = network_kind(model)
    return None if kind is None else "v" if kind == "v2-v" else "epsilon"


# configuration file, as the reference names it -> the kind of network it describes
CONFIGS: dict[str, str] = {
    "scripts/v1-inference.yaml": "v1",
    "scripts/v2-inference.yaml": "v2",
    "scripts/v2-inference-v.yaml": "v2-v",
    "configs/stable-diffusion/v1-inference.yaml": "v1",
    "configs/stable-diffusion/v2-inference.yaml": "v2",
    "configs/stable-diffusion/v2-inference-v.yaml": "v2-v",
}
