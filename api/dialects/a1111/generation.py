"""From the values of a request to a native request, and from the finished job to the answer."""

from collections.abc import Collection
from contextlib import suppress
from typing import Any

from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field
from werkzeug.exceptions import NotFound

from api.auth import Caller
from api.dialect import Services
from api.dialects.a1111 import fields
from api.dialects.a1111.checkpoints import checkpoint_named
from api.dialects.a1111.hires import drawn_size, hires_fix
from api.dialects.a1111.info import answered_pictures, info_json, warnings_of
from api.dialects.a1111.sampler_names import AUTOMATIC, sampling_of
from api.dialects.a1111.settings import RequestSettings
from api.dialects.a1111.waiting import Submission, finished_or_interrupted
from api.drawing_size import drawing_size
from jobs.errors import InvalidRequest
from jobs.names import JobKind, sampler_named
from jobs.parameters.schemas import SCHEMAS, fields_of
from jobs.status import JobStatus

GRAMMAR = "a1111"
INSTALLED_UPSCALER = "Upscaler"
"""The one that the workers have; any name that is not in the list means it, too."""
USUAL_ETA = 1.0
"""webuiapi sends it with every request. Of all samplers but DDIM it is the default, or they have no
eta, which must not be a warning then."""


class GeneratedImages(BaseModel):
    """The answer to txt2img and img2img."""

    images: list[str] = Field(description="as base64; the grid first, if there is one")
    parameters: dict[str, Any] = Field(description="the request, with the defaults of its fields")
    info: str = Field(description="JSON: prompts, seeds, sampler, model, infotexts, warnings")
    warnings: list[str] = Field(description="what could not be followed")


def submission_of(
    kind: JobKind,
    table: Collection[fields.Field],
    values: fields.Values,
    settings: RequestSettings,
    services: Services,
) -> Submission:
    """The job that a request asks for. Raises NotFound: there is no such sampler."""
    fields_ = fields.translated(table, values, fields_of(SCHEMAS[kind]["optimized"]))
    body: dict[str, Any] = {
        **settings.body(),
        **fields_.body,
        **_answer(values),
        **_refiner(values, services),
        "prompt_grammar": GRAMMAR,
    }
    warnings = [*settings.warnings, *fields_.warnings, *_script_warnings(values)]

    name = values["sampler_name"] or values["sampler_index"]
    sampling = sampling_of(name, values["scheduler"])
    if sampling is None:
        raise NotFound("Sampler not found")
    body["sampler"] = sampling.sampler
    if sampling.scheduler:
        body["scheduler"] = sampling.scheduler
    warnings += sampling.warnings
    usual = {field: body.pop(field) for field in _not_sent(values) if field in body}
    if body.get("eta") == USUAL_ETA and not sampling.sampler.startswith("ddim"):
        del body["eta"]

    size = drawing_size(
        *drawn_size(values),
        native_size=settings.native_size,
        limits=services.jobs.limits,
    )
    body |= {"W": size.width, "H": size.height}
    if body.get("mask_area") == "masked":
        # the result has the size of the picture that is changed
        if size.output:
            warnings.append(f"width: the part is drawn at {size.width}×{size.height} pixels")
    elif size.output:
        body |= {"output_width": size.output[0], "output_height": size.output[1]}
    if values.of.get("enable_hr"):
        hires = hires_fix(
            values,
            size,
            services.jobs.limits,
            INSTALLED_UPSCALER,
            steps=settings.defaults.fill(body, settings.model, usual).body["ddim_steps"],
        )
        body |= hires.body
        warnings += hires.warnings
    elif size.warning and body.get("mask_area") != "masked":
        warnings.append(size.warning)
    return Submission(
        kind=kind,
        body=body,
        usual=usual,
        warnings=warnings,
        written=_WRITTEN | dict(fields_.written),
        task_id=values["force_task_id"],
    )


def _refiner(values: fields.Values, services: Services) -> dict[str, Any]:
    """The second model: without a share of the sampling it draws all, from 1 on nothing."""
    field = "refiner_checkpoint"
    name, share = values[field], values["refiner_switch_at"] or 0
    if name in ("", "None", "none") or share >= 1:
        return {}
    with suppress(InvalidRequest):  # a fault of the native field, beside others
        name = checkpoint_named(name, services.jobs, services.jobs.served(), field=field)
    return {"refiner": {"ckpt": name, "switch_at": share}}


_WRITTEN = {
    "refiner": "refiner_checkpoint",
    "W": "width",
    "H": "height",
    "output_width": "width",
    "output_height": "height",
    "sampler": "sampler_name",
    "init_img": "init_images",
    "ckpt": "override_settings.sd_model_checkpoint",
    "vae": "override_settings.sd_vae",
    "clip_skip": "override_settings.CLIP_stop_at_last_layers",
    "format": "override_settings.samples_format",
}
"""Native fields and how their values were written, besides those of the table."""


def _not_sent(values: fields.Values) -> tuple[str, ...]:
    """The native fields that have this dialect's defaults, which those of a model precede."""
    sampler = values.sent.isdisjoint({"sampler_name", "sampler_index"})
    left_out = {
        "ddim_steps": "steps" not in values.sent,
        "scale": "cfg_scale" not in values.sent,
        "sampler": sampler,
        # the one that belongs to the sampler, unless the client has named another
        "scheduler": sampler and values["scheduler"] == AUTOMATIC,
    }
    return tuple(field for field, is_left_out in left_out.items() if is_left_out)


def _answer(values: fields.Values) -> dict[str, Any]:
    """Pictures are kept, and a grid is made, only with `save_images`."""
    saved = values["save_images"]
    return {
        "return_base64": True,
        "synchronous_request": True,
        "skip_save": not saved or values["do_not_save_samples"],
        "skip_grid": not saved or values["do_not_save_grid"],
    }


def _script_warnings(values: fields.Values) -> list[str]:
    return [
        f"alwayson_scripts.{name[:80]}: was not followed: there are no extensions here"
        for name, arguments in values["alwayson_scripts"].items()
        if _asks_for_something(arguments)
    ]


def _asks_for_something(arguments: Any) -> bool:
    """Clients of an extension send it also to say that it is off.

    That is `{"args": [false]}`, or `{"args": [{"enabled": false}]}` with one object a unit.
    """
    args = arguments.get("args") if isinstance(arguments, dict) else arguments
    if not args or not isinstance(args, list):
        return bool(args)
    off = [isinstance(unit, dict) and unit.get("enabled") is False for unit in args]
    return args[0] is not False and not all(off)


def _of_model(status: JobStatus, values: fields.Values) -> dict[str, Any]:
    """What a model's defaults, or the service's, have made of the fields that were left out."""
    settled = {"steps": status.request["ddim_steps"], "cfg_scale": status.request["scale"]}
    if values.sent.isdisjoint({"sampler_name", "sampler_index"}):
        row = sampler_named(status.request["sampler"])
        settled["sampler_index"] = row.label if row else status.request["sampler"]
    return {name: value for name, value in settled.items() if name not in values.sent}


def answer(
    submission: Submission,
    values: fields.Values,
    parameters: dict[str, Any],
    services: Services,
    caller: Caller,
) -> ResponseReturnValue:
    """Run the job and answer with its pictures; with none of them if it was interrupted.

    Raises what `finished` raises for a job that was not cancelled, and StoreError.
    """
    status = finished_or_interrupted(services, submission, caller)
    pictures = answered_pictures(services.jobs, status)
    return GeneratedImages(
        images=list(pictures.encoded) if values["send_images"] else [],
        parameters=parameters | _of_model(status, values),
        info=info_json(status, values, pictures),
        warnings=warnings_of(status),
    ).model_dump()
