"""The options of one API key: settings, most of them A1111's, with their bounds."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from api.auth import Caller
from api.dialect import Services
from api.dialects.a1111.checkpoints import checkpoint_named, title_of
from jobs.errors import Fault, InvalidRequest
from jobs.model_defaults import Preset
from jobs.names import MAX_NAME, find_name
from jobs.parameters.types import WHOLE
from jobs.pictures.output_formats import BY_SUBTYPE, JPEG_QUALITY, OUTPUT_FORMATS, PictureFormat
from jobs.served import Served
from jobs.validation.validation_faults import faults_of, safe_value

NO_VAE = ("automatic", "none", "")
"""Values of `sd_vae` that mean the autoencoder in the model's own file, in lower case."""


def _picture_format(value: Any) -> Any:
    return BY_SUBTYPE.get(value, value) if isinstance(value, str) else value


class CallerOptions(BaseModel, frozen=True):
    """The options under which a key's requests are read, under A1111's names.

    Attributes:
        sd_model_checkpoint: title or name of an installed model; empty: the service's default.
        sd_vae: name of an installed autoencoder; `Automatic` or `None`: the model's own.
        CLIP_stop_at_last_layers: from which layer of the text encoder, counted from the end, the
            prompt's encoding is taken.
        samples_format: the format of pictures.
        jpeg_quality: of pictures in the formats jpg and webp.
        preset: a preset of the model, where it has it; it is no option of A1111's.
        live_previews_enable: whether `progress` has a preview.
    """

    model_config = ConfigDict(extra="ignore", strict=True, hide_input_in_errors=True)

    sd_model_checkpoint: Annotated[str, Field(max_length=MAX_NAME)] = ""
    sd_vae: Annotated[str, Field(max_length=MAX_NAME)] = "Automatic"
    CLIP_stop_at_last_layers: Annotated[int, Field(ge=1, le=12), WHOLE] = 1
    samples_format: Annotated[PictureFormat, BeforeValidator(_picture_format)] = "png"
    jpeg_quality: Annotated[int, Field(ge=1, le=100), WHOLE] = JPEG_QUALITY
    preset: Preset | Literal[""] = ""
    live_previews_enable: bool = True

    @property
    def format_fields(self) -> dict[str, Any]:
        """The native fields of the pictures' format."""
        fields: dict[str, Any] = {"format": self.samples_format}
        if OUTPUT_FORMATS[self.samples_format].lossy:
            fields["jpeg_quality"] = self.jpeg_quality
        return fields


INERT: dict[str, Any] = {
    "samples_save": True,
    "webp_lossless": False,
    "grid_save": True,
    "return_grid": True,
    "grid_only_if_multiple": True,
    "enable_pnginfo": True,
    "add_model_hash_to_info": True,
    "add_model_name_to_info": True,
    "face_restoration": False,
    "face_restoration_model": "CodeFormer",
    "code_former_weight": 0.5,
    "upscaler_for_img2img": None,
    "img2img_color_correction": False,
    "img2img_fix_steps": False,
    "img2img_background_color": "#ffffff",
    "inpainting_mask_weight": 1.0,
    "initial_noise_multiplier": 1.0,
    "sd_hypernetwork": "None",
    "sd_lora": "None",
    "sd_checkpoint_cache": 0,
    "sd_vae_overrides_per_model_preferences": True,
    "hires_fix_refiner_pass": "second pass",
    "refiner_switch_by_sample_steps": False,
    "enable_emphasis": True,
    "emphasis": "Original",
    "enable_batch_seeds": True,
    "comma_padding_backtrack": 20,
    "randn_source": "CPU",
    "eta_noise_seed_delta": 0,
    "eta_ddim": 0.0,
    "eta_ancestral": 1.0,
    "s_churn": 0.0,
    "s_tmin": 0.0,
    "s_tmax": 0.0,
    "s_noise": 1.0,
    "always_discard_next_to_last_sigma": False,
    "token_merging_ratio": 0.0,
    "live_previews_image_format": "jpeg",
    "show_progress_every_n_steps": 10,
    "show_progress_type": "Approx NN",
    "disabled_extensions": [],
}
"""Options that clients look up and that cannot be changed here, with the value that holds."""
A1111_DEFAULTS = {
    "randn_source": "GPU",
    "live_previews_image_format": "png",
}
"""Where A1111's default is another value: a client that sends it asks for nothing special."""


def caller_options(services: Services, caller: Caller) -> CallerOptions:
    """The options of the caller's key. Raises RecordsUnavailable.

    One with a value that this version does not know has its default: another version has set it.
    """
    stored = services.jobs.options(of=caller.submitter)
    try:
        return CallerOptions.model_validate(stored)
    except ValidationError as error:
        unknown = {detail["loc"][0] for detail in error.errors(include_url=False)}
        known = {name: value for name, value in stored.items() if name not in unknown}
        return CallerOptions.model_validate(known)


def store_options(
    services: Services, caller: Caller, *, before: CallerOptions, after: CallerOptions
) -> None:
    """Keep what has changed as options of the caller's key. Raises RecordsUnavailable."""
    changed = {
        name: value for name, value in after.model_dump().items() if value != getattr(before, name)
    }
    if changed:
        services.jobs.set_options(changed, of=caller.submitter)


def with_settings(
    options: CallerOptions,
    settings: Mapping[str, Any],
    services: Services,
    served: Served,
    *,
    prefix: str = "",
) -> tuple[CallerOptions, tuple[str, ...]]:
    """Options with some settings changed, and a warning for each setting that changes nothing.

    A setting with the value that it has already is no change, so that a client may send all that
    GET /options has given it. null sets a setting to its default.

    Args:
        options: before.
        settings: by A1111's names, as a client sent them.
        services: know the default model.
        served: the installed models and autoencoders.
        prefix: of the names in errors and warnings, such as `override_settings.`.

    Raises:
        InvalidRequest: with every value that is out of bounds or names nothing installed.
    """
    now = all_values(options, services, served)
    changes = {
        name: value
        for name, value in settings.items()
        if name not in now or value not in (now[name], A1111_DEFAULTS.get(name, now[name]))
    }
    own = {name: changes.pop(name) for name in CallerOptions.model_fields if name in changes}
    warnings = tuple(_warning(prefix + name, value) for name, value in changes.items())
    defaults = CallerOptions()
    wanted = options.model_dump() | {
        name: getattr(defaults, name) if value is None else value for name, value in own.items()
    }
    try:
        changed = CallerOptions.model_validate(wanted)
    except ValidationError as error:
        faults = faults_of(error, CallerOptions, wanted)
        named = tuple(replace(fault, field=prefix + fault.field) for fault in faults)
        raise InvalidRequest(named) from None
    if "sd_model_checkpoint" in own:
        field = f"{prefix}sd_model_checkpoint"
        checkpoint_named(changed.sd_model_checkpoint, services.jobs, served, field=field)
    if "sd_vae" in own:
        _check_vae(changed.sd_vae, served, field=f"{prefix}sd_vae")
    return changed, warnings


def all_values(options: CallerOptions, services: Services, served: Served) -> dict[str, Any]:
    """What GET /options answers: the key's options, and the settings that clients look up."""
    try:
        name = checkpoint_named(
            options.sd_model_checkpoint, services.jobs, served, field="sd_model_checkpoint"
        )
    except InvalidRequest:  # it was removed since it was set; a request will say so
        name = options.sd_model_checkpoint
    known = {
        "sd_model_checkpoint": title_of(name, served),
        "sd_checkpoint_hash": served.hashes.get(name, ""),
    }
    return options.model_dump() | known | INERT


def _check_vae(name: str, served: Served, *, field: str) -> None:
    if name.lower() in NO_VAE or find_name(name, served.vaes):
        return
    raise InvalidRequest(
        (
            Fault(
                field=field,
                code="unknown_vae",
                value=safe_value(field, name),
                problem="is no installed VAE",
                expected="one of: " + ", ".join(["Automatic", *served.vaes]),
            ),
        )
    )


def _warning(name: str, value: Any) -> str:
    shown = safe_value(name, value)
    return f"{safe_value('', name)}: {shown!r} has no effect: this service has no such option"
