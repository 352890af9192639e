"""GET /events/<id>: how a job goes, as it goes."""

from threading import BoundedSemaphore

from flask import Blueprint, Response, current_app, request

from api.answers import PreviewOfJob
from api.desk import Desk
from api.errors import TooManyStreams
from api.event_stream import Seen, digest, event_stream
from api.operations import JOB_ID, Answer, Operation, Parameter
from api.presentation import describe
from api.watcher import Watcher
from jobs.status import JobStatus

MEDIA_TYPE = "text/event-stream"
HEADERS = {
    "Cache-Control": "no-store",
    # nginx would keep events back until it has a page of them
    "X-Accel-Buffering": "no",
}
LAST_EVENT_ID = Parameter(
    name="Last-Event-ID", where="header", means="the `id` of the last event that was seen"
)


def event_routes(desk: Desk, watcher: Watcher, streams: int) -> Blueprint:
    """The route that tells how a job goes. It needs no key: nobody can guess an id.

    Args:
        desk: where the jobs are.
        watcher: looks at them.
        streams: how many may be open at once; each holds a thread.
    """
    routes = Blueprint("events", __name__)
    places = BoundedSemaphore(streams) if streams else None

    @routes.get("/events/<job_id>")
    @Operation(
        answers={
            200: Answer(
                means="Server-Sent Events until the job has ended",
                media=(MEDIA_TYPE,),
                event=PreviewOfJob,
            ),
            204: Answer(means="the job's end was seen already: nothing more will come"),
        },
        errors=(404, 410, 503),
        parameters=(JOB_ID, LAST_EVENT_ID),
    )
    def events(job_id: str) -> Response:
        """How a job goes, as Server-Sent Events.

        `queued`, `loading`, `step`, `done`, `failed` and `cancelled` carry what
        `GET /status/<id>?images=false` would answer at that moment; `preview` a small JPEG of what
        the picture looks like so far. The stream ends with the job. With `Last-Event-ID` it goes
        on after that event. A 503 says that too many streams are open: ask `/status` instead.
        """
        status = desk.records.get(job_id)
        # the app itself: the stream goes on when its request is no longer the current one
        dumps = current_app.json.dumps

        def told(status: JobStatus) -> str:
            return dumps(describe(desk, status, images=False))

        seen = Seen.of(request.headers.get("Last-Event-ID", ""))
        if status.state.final and digest(told(status)) == seen.status:
            return Response(status=204, headers=HEADERS)
        if request.method == "HEAD":
            return Response(mimetype=MEDIA_TYPE, headers=HEADERS)
        if places is None or not places.acquire(blocking=False):
            raise TooManyStreams(streams)
        stream = Response(
            event_stream(watcher, job_id, seen, told), mimetype=MEDIA_TYPE, headers=HEADERS
        )
        stream.call_on_close(places.release)
        return stream

    return routes
