"""A body of this dialect → a request's fields, and what the answer needs besides."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from api.dialects.openai.field_names import in_this_dialect, other_fields
from api.dialects.openai.images_of_edit import EditedImages, Picture
from api.dialects.openai.masks import mask_fields
from api.dialects.openai.model_names import choose_model
from api.dialects.openai.no_effect import no_effect
from api.dialects.openai.request_models import (
    NATIVE_NAMES,
    OPTIONS,
    SIZE_EXPECTED,
    EditOptions,
    ImageOptions,
    size_of,
)
from api.drawing_size import drawing_size
from jobs.errors import Fault, InvalidRequest
from jobs.limits import NATIVE_SIZE, Limits
from jobs.names import JobKind
from jobs.pictures.output_formats import BY_SUBTYPE, OUTPUT_FORMATS
from jobs.served import Served
from jobs.validation.model_choice import InstalledModels
from jobs.validation.request import parse_request
from jobs.validation.settled_defaults import InstalledDefaults
from jobs.validation.validation_faults import faults_of

STEPS_OF_QUALITY = {
    "low": 10,
    "medium": 20,
    "standard": 20,
    "auto": 20,
    "high": 40,
    "hd": 40,
    "xhigh": 60,
    "max": 100,
}
FAITHFUL_STRENGTH = 0.5
"""Of an edit with the input_fidelity `high`."""


@dataclass(frozen=True)
class Translated:
    """A request, translated.

    Attributes:
        body: the request by the field names of `jobs.parameters.schemas`.
        options: the same in this dialect's own fields.
        warnings: what could not be followed.
        names: field of `body` → the field in which the client sent it.
        usual: what the dialect fills in for what neither the body nor the model says.
    """

    kind: JobKind
    body: dict[str, Any]
    options: ImageOptions
    warnings: tuple[str, ...]
    names: Mapping[str, str]
    usual: Mapping[str, Any]

    @property
    def user(self) -> str:
        """Whose turn it is among the jobs of one key; empty: nobody in particular."""
        return self.options.safety_identifier or self.options.user


@dataclass(frozen=True, kw_only=True)
class Translator:
    """Translates requests, given what is installed and allowed.

    Attributes:
        served: the installed models.
        default_model: the one that `default` means.
        limits: the caps on one request.
    """

    served: Served
    default_model: str
    limits: Limits

    def translate(
        self, kind: JobKind, sent: Mapping[str, Any], edited: EditedImages | None = None
    ) -> Translated:
        """The job that a body asks for.

        Args:
            kind: txt2img, or img2img for an edit.
            sent: the fields of the body, without those of the images.
            edited: the images of an edit.

        Raises:
            InvalidRequest: with every fault of the body, by the names that the client has used.
        """
        sent = {name: value for name, value in sent.items() if value is not None}
        options, faults = _validated(kind, sent)
        faults += edited.faults if edited else ()
        names = dict(NATIVE_NAMES)
        if options.steps is None and "quality" in sent:
            names["ddim_steps"] = "quality"
        warnings = [*no_effect(options, sent, edited)]
        own = sent.keys() & (OPTIONS[kind].model_fields.keys() - ImageOptions.model_fields.keys())
        body: dict[str, Any] = {name: sent[name] for name in own - EditOptions.model_fields.keys()}
        body |= {
            "seed": sent.get("seed"),  # a new one each time, unlike in the service's own API
            "n_iter": options.n,
            "format": BY_SUBTYPE[options.output_format],
        }
        body |= {name: sent[name] for name in ("prompt", "type") if name in sent}
        steps = options.steps or STEPS_OF_QUALITY[options.quality]
        values = {"ddim_steps": steps, "scale": options.guidance_scale}
        # `auto` leaves the steps to the model, where it has an opinion
        chosen = {
            "ddim_steps": options.steps is not None or options.quality != "auto",
            "scale": "guidance_scale" in sent,
        }
        body |= {name: value for name, value in values.items() if chosen[name]}
        usual = {name: value for name, value in values.items() if not chosen[name]}
        lossy = OUTPUT_FORMATS[body["format"]].lossy
        if options.output_compression is not None and lossy:
            body["jpeg_quality"] = max(1, options.output_compression)
        try:
            choice = choose_model(options.model, self.served, self.default_model)
            body["ckpt"] = choice.name
            warnings += choice.warnings
        except InvalidRequest as error:
            faults += error.faults
        picture = edited.images[0] if edited and edited.images else None
        own_size = sent.get("mask_area") == "masked"
        size, size_warnings = self._size(options, body, picture, own_size)
        body |= size
        warnings += size_warnings
        if picture:
            body["init_img"] = picture.text
            names["init_img"] = picture.field
            body["denoising_strength"] = _strength(options, sent)
        if edited and edited.mask:
            names["mask"] = edited.mask.field
            try:
                body |= mask_fields(edited.mask, sent)
            except InvalidRequest as error:
                faults += error.faults
        translated = Translated(kind, body, options, tuple(warnings), names, usual)
        if faults:
            raise InvalidRequest((*faults, *self._further(translated, faults)))
        return translated

    def _size(
        self,
        options: ImageOptions,
        body: Mapping[str, Any],
        picture: Picture | None,
        own_size: bool,
    ) -> tuple[dict[str, Any], tuple[str, ...]]:
        """The size to generate, and the one to bring it to, as fields of a job; warnings.

        `auto` is the size that the model's defaults name, else its native size; with an image to
        edit near the native one, in its aspect.

        Args:
            own_size: the result has the size of the image to edit, unless another is named.
        """
        ckpt = body.get("ckpt", "default")
        models = InstalledModels.of(self.served, self.default_model)
        native = models.native_size(ckpt) if self.served.models else NATIVE_SIZE
        wanted = size_of(options.size)
        own = InstalledDefaults.of(self.served).wanted(ckpt, body.get("preset"))
        if not (wanted or picture) and own.keys() & {"W", "H"}:
            return {}, ()  # filled in with the other defaults
        width, height = wanted or (picture and picture.size) or (native, native)
        size = drawing_size(width, height, native_size=native, limits=self.limits)
        body = {"W": size.width, "H": size.height}
        if wanted is None or (size.output is None and not own_size):
            return body, ()
        body |= {"output_width": width, "output_height": height}
        return body, (f"size: {size.warning}",) if size.warning else ()

    def _further(self, translated: Translated, faults: list[Fault]) -> tuple[Fault, ...]:
        """The faults of the translated request, in fields without a fault of their own."""
        known = {fault.field.partition(".")[0] for fault in faults}
        try:
            parse_request(translated.kind, translated.body, limits=self.limits)
        except InvalidRequest as error:
            further = in_this_dialect(error.faults, translated.names)
            return tuple(fault for fault in further if fault.field not in known)
        return ()


def _validated(kind: JobKind, sent: dict[str, Any]) -> tuple[ImageOptions, list[Fault]]:
    """The valid fields, the others having their defaults, and the faults of those."""
    model = OPTIONS[kind]
    try:
        return model.model_validate(sent), []
    except ValidationError as error:
        faults = faults_of(error, model, sent, other_fields(kind))
        wrong = {str(detail["loc"][0]) for detail in error.errors(include_url=False)}
    valid = {name: value for name, value in sent.items() if name not in wrong}
    options = model.model_validate({"prompt": "", **valid})
    size_fault = {"size": SIZE_EXPECTED}
    return options, [
        replace(fault, expected=size_fault.get(fault.field, fault.expected)) for fault in faults
    ]


def _strength(options: ImageOptions, sent: Mapping[str, Any]) -> float:
    assert isinstance(options, EditOptions)
    faithful = options.input_fidelity == "high" and "strength" not in sent
    return FAITHFUL_STRENGTH if faithful else options.strength
