"""The `info` of an answer: what AUTOMATIC1111 writes about the pictures, as JSON in a string."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from api.dialects.a1111.fields import Values
from api.dialects.a1111.sampler_names import AUTOMATIC, scheduler_named, split_label
from api.job_pictures import GRID, pictures_by_name
from api.job_service import JobService
from api.recipes.picture_text import read_picture_text
from jobs import __version__
from jobs.names import sampler_named
from jobs.status import JobState, JobStatus

VERSION = f"stable-diffusion-service {__version__}"
INTERRUPTED = "the job was interrupted: it has no pictures"


@dataclass(frozen=True)
class AnsweredPictures:
    """The pictures of a job in the order of an answer: the grid, if there is one, then the others.

    Attributes:
        encoded: the files as base64.
        infotexts: what each of them says about itself.
        has_grid: whether the first is the grid.
    """

    encoded: tuple[str, ...]
    infotexts: tuple[str, ...]
    has_grid: bool


def answered_pictures(jobs: JobService, status: JobStatus) -> AnsweredPictures:
    """Read the pictures of a finished job. Raises StoreError."""
    names = list(pictures_by_name(status))
    has_grid = GRID in names
    files = jobs.pictures(status)
    if has_grid:  # it is the last one
        files = [files[-1], *files[:-1]]
    encoded = tuple(base64.b64encode(file).decode() for file in files)
    texts = tuple(read_picture_text(each).infotext for each in encoded)
    return AnsweredPictures(encoded, texts, has_grid)


def info_json(status: JobStatus, values: Values, pictures: AnsweredPictures) -> str:
    """The text of `info`.

    Args:
        status: a finished job, or one that was interrupted.
        values: of the request.
        pictures: of the job.
    """
    result = status.result
    prompt, negative_prompt = values["prompt"], values["negative_prompt"]
    seeds = list(result.seeds) if result else []
    subseeds = _subseeds(status, len(seeds))
    label, schedule = _sampler(status)
    info: dict[str, Any] = {
        "prompt": prompt,
        "all_prompts": [prompt] * len(seeds),
        "negative_prompt": negative_prompt,
        "all_negative_prompts": [negative_prompt] * len(seeds),
        "seed": seeds[0] if seeds else status.request["seed"],
        "all_seeds": seeds,
        "subseed": subseeds[0] if subseeds else -1,
        "all_subseeds": subseeds,
        "subseed_strength": values["subseed_strength"],
        "width": values["width"],
        "height": values["height"],
        "sampler_name": label,
        "cfg_scale": status.request["scale"],
        "steps": status.request["ddim_steps"],
        "batch_size": values["batch_size"],
        "restore_faces": False,
        "face_restoration_model": None,
        "sd_model_name": result.model if result else status.model,
        "sd_model_hash": result.model_hash if result else None,
        "sd_vae_name": (result and result.vae) or None,
        "sd_vae_hash": None,
        "seed_resize_from_w": values["seed_resize_from_w"],
        "seed_resize_from_h": values["seed_resize_from_h"],
        "denoising_strength": status.request.get("denoising_strength"),
        "extra_generation_params": {"Schedule type": schedule} if schedule else {},
        "index_of_first_image": 1 if pictures.has_grid else 0,
        "infotexts": list(pictures.infotexts),
        "styles": values["styles"],
        "job_timestamp": datetime.fromtimestamp(status.submitted, UTC).strftime("%Y%m%d%H%M%S"),
        "clip_skip": status.request.get("clip_skip", 1),
        "is_using_inpainting_conditioning": False,
        "version": VERSION,
        "warnings": warnings_of(status),
    }
    return json.dumps(info)


def warnings_of(status: JobStatus) -> list[str]:
    """What of the request could not be followed, its pictures included."""
    interrupted = status.state is JobState.CANCELLED
    return [*status.warnings, *([INTERRUPTED] if interrupted else [])]


def _subseeds(status: JobStatus, count: int) -> Sequence[int]:
    """The variation seed of each picture; -1 where none was used."""
    first = status.request.get("variation_seed")
    if not status.request.get("variation_strength") or first is None:
        return [-1] * count
    return [first + index for index in range(count)]


def _sampler(status: JobStatus) -> tuple[str, str]:
    """The labels of the sampler and of the scheduler, which is empty for the sampler's own."""
    key = status.request["sampler"]
    row = sampler_named(key)
    label, scheduler = split_label(row.label if row else key)
    if scheduler is None:
        scheduler = scheduler_named(status.request.get("scheduler") or AUTOMATIC)
    return label, scheduler.label if scheduler and scheduler.key != AUTOMATIC else ""
