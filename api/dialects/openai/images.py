"""POST /v1/images/generations and /v1/images/edits: a job, and its images as the answer."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, current_app, request
from flask.typing import ResponseReturnValue

from api.caller import caller_of, read_request
from api.dialect import Services
from api.dialects.openai.answers import images_json
from api.dialects.openai.documented_bodies import EditBody, GenerateBody
from api.dialects.openai.error_json import OpenAIError
from api.dialects.openai.event_stream import ImageStream
from api.dialects.openai.field_names import in_this_dialect
from api.dialects.openai.form_values import typed
from api.dialects.openai.images_of_edit import EditedImages, take_images
from api.dialects.openai.request_models import OPTIONS
from api.dialects.openai.response_models import GeneratedImages, PartialImage
from api.dialects.openai.translation import Translated, Translator
from api.errors import TooManyStreams
from api.http.client_gone import client_gone
from api.http.form_data import MIME_TYPE as FORM
from api.http.server_sent_events import HEADERS, MEDIA_TYPE
from api.idempotency import IDEMPOTENCY_KEY, idempotency_key
from api.idempotency import NAME as IDEMPOTENCY_HEADER
from api.operations import KEYS, ApiResponse, Operation, Parameter
from api.waited_job import waited_for
from jobs.errors import InvalidRequest
from jobs.names import JobKind
from jobs.records.idempotency import SubmittedJob

USER_HEADER = "X-OpenWebUI-User-Id"
USER = Parameter(name=USER_HEADER, where="header", description="in place of the field `user`")
ERRORS = (400, 401, 404, 408, 409, 413, 415, 429, 503, 504)
RESPONSES = {
    200: ApiResponse(
        description="the images; with `stream`, Server-Sent Events",
        body=GeneratedImages,
        media=(MEDIA_TYPE,),
        event=PartialImage,
        headers={"X-Request-Id": "the id of the job"},
    )
}


def image_routes(services: Services) -> Blueprint:
    """The routes that generate and edit images."""
    routes = Blueprint("images", __name__, url_prefix="/images")

    @routes.post("/generations")
    @Operation(
        body=GenerateBody,
        responses=RESPONSES,
        errors=ERRORS,
        error=OpenAIError,
        parameters=(IDEMPOTENCY_KEY, USER),
        keys=KEYS,
    )
    def generations() -> ResponseReturnValue:
        """Generate images from a prompt, and wait for them.

        The job is cancelled when the client closes the connection, or when the images are not
        ready in time, unless the request has an `Idempotency-Key`.
        """
        caller, body = read_request(services, request)
        return _answer(services, "txt2img", caller.submitter, body)

    @routes.post("/edits")
    @Operation(
        body=EditBody,
        media=("application/json", FORM),
        responses=RESPONSES,
        errors=ERRORS,
        error=OpenAIError,
        parameters=(IDEMPOTENCY_KEY, USER),
        keys=KEYS,
    )
    def edits() -> ResponseReturnValue:
        """Generate images from an image and a prompt, and wait for them.

        The body is JSON, or multipart/form-data with the file as `image` or `image[]`.
        """
        submitter = caller_of(services, request).submitter
        if request.mimetype == FORM:
            body = typed(services.bodies.read_form(request, submitter), OPTIONS["img2img"])
        else:
            body = services.bodies.read(request, submitter)
        return _answer(services, "img2img", submitter, body, take_images(body))

    return routes


def _answer(
    services: Services,
    kind: JobKind,
    submitter: str,
    body: Mapping[str, Any],
    edited: EditedImages | None = None,
) -> ResponseReturnValue:
    jobs = services.jobs
    translator = Translator(
        served=jobs.served(), default_model=jobs.default_model, limits=jobs.limits
    )
    translated = translator.translate(kind, body, edited)
    key = idempotency_key(request.headers)
    again = "" if key is None else IDEMPOTENCY_HEADER
    submitted: dict[str, Any] = {
        "submitter": submitter,
        "idempotency_key": key,
        "user": translated.user or request.headers.get(USER_HEADER, ""),
        "warnings": translated.warnings,
        "usual": translated.usual,
    }
    try:
        if translated.options.stream:
            job = jobs.submit(kind, translated.body, **submitted)
            return _stream(services, translated, job, submitter, again=again)
        result = jobs.submit_and_wait(
            kind,
            translated.body,
            **submitted,
            address=request.remote_addr or "",
            abandoned=client_gone(request.environ),
            keep=bool(again),
        )
    except InvalidRequest as error:
        raise InvalidRequest(in_this_dialect(error.faults, translated.names)) from error
    status = waited_for(result, seconds=services.settings.sync_timeout, again=again)
    base = _base_url(services)
    headers = {"X-Request-Id": status.job_id, "Location": f"{base}/status/{status.job_id}"}
    with_pixels = translated.options.response_format == "b64_json"
    pictures = jobs.pictures(status) if with_pixels else []
    return images_json(status, translated, pictures=pictures, base_url=base), 200, headers


def _stream(
    services: Services,
    translated: Translated,
    job: SubmittedJob,
    submitter: str,
    *,
    again: str,
) -> Response:
    jobs = services.jobs
    try:
        snapshots = jobs.events(
            job.job_id,
            submitter=submitter,
            address=request.remote_addr or "",
            abandoned=client_gone(request.environ),
        )
    except TooManyStreams:
        if not again:
            jobs.give_up(job.job_id, by=submitter)
        raise
    events = ImageStream(
        jobs,
        translated,
        job.job_id,
        snapshots,
        seconds=services.settings.sync_timeout,
        submitter=submitter,
        again=again,
        dumps=current_app.json.dumps,
    )
    headers = {**HEADERS, "X-Request-Id": job.job_id}
    response = Response(iter(events), mimetype=MEDIA_TYPE, headers=headers)
    response.call_on_close(events.close)
    return response


def _base_url(services: Services) -> str:
    """This service's address as the client has used it, behind trusted proxies as well."""
    scheme = request.headers.get("X-Forwarded-Proto", "").partition(",")[0].strip().lower()
    if not services.settings.trusted_proxies or scheme not in ("http", "https"):
        scheme = request.scheme
    return f"{scheme}://{request.host}"
