"""GET /events/<id>: a job's status and previews as they change."""

from flask import Blueprint, Response, current_app, request

from api.dialects.native.event_stream import EventId, digest, event_stream
from api.dialects.native.status_json import status_json
from api.dialects.native.status_models import JobPreview
from api.http.client_gone import client_gone
from api.http.server_sent_events import HEADERS, MEDIA_TYPE
from api.job_service import JobService
from api.operations import JOB_ID, ApiResponse, Operation, Parameter

LAST_EVENT_ID = Parameter(
    name="Last-Event-ID", where="header", description="the `id` of the last event received"
)


def event_routes(jobs: JobService) -> Blueprint:
    """The route that streams a job's events. It needs no key: a job's id cannot be guessed."""
    routes = Blueprint("events", __name__)

    @routes.get("/events/<job_id>")
    @Operation(
        responses={
            200: ApiResponse(
                description="Server-Sent Events until the job has ended",
                media=(MEDIA_TYPE,),
                event=JobPreview,
            ),
            204: ApiResponse(description="the client has received the job's end: no more events"),
        },
        errors=(404, 410, 503),
        parameters=(JOB_ID, LAST_EVENT_ID),
    )
    def events(job_id: str) -> Response:
        """The progress of a job, as Server-Sent Events.

        `queued`, `loading`, `step`, `done`, `failed` and `cancelled` carry the JSON of
        `GET /status/<id>?images=false` at that moment; `preview` carries a small JPEG of the
        unfinished picture. The stream ends with the job. `Last-Event-ID` resumes it after that
        event. When too many streams are open it returns 503: poll `/status` instead.
        """
        status = jobs.status(job_id)
        dumps = current_app.json.dumps  # the stream outlives the request's context
        last = EventId.parse(request.headers.get("Last-Event-ID", ""))
        if status.state.final and digest(dumps(status_json(status))) == last.status:
            return Response(status=204, headers=HEADERS)
        if request.method == "HEAD":
            return Response(mimetype=MEDIA_TYPE, headers=HEADERS)
        snapshots = jobs.events(
            job_id,
            submitter=status.submitter,
            address=request.remote_addr or "",
            abandoned=client_gone(request.environ),
        )
        stream = Response(
            event_stream(snapshots, last, dumps), mimetype=MEDIA_TYPE, headers=HEADERS
        )
        stream.call_on_close(snapshots.close)
        return stream

    return routes
