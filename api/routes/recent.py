"""GET /recent: the latest pictures, for programs and for people."""

from typing import Any

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from api.answers import Recent
from api.auth import Caller, KeyRing, require_key
from api.body import read_object
from api.desk import Desk
from api.operations import KEYS, Answer, Operation, Parameter
from api.page_files import page_response
from api.presentation import describe, location_of
from api.settings import ApiSettings
from jobs.status import JobStatus

COUNT = 10
FACTS = Parameter(
    name="facts",
    where="query",
    means="`true`, `1` or `yes` adds `Under_way` and `Finished`: the jobs themselves",
)
UNCHANGED = Answer(means="the browser has the gallery already")


def recent_routes(desk: Desk, keys: KeyRing, settings: ApiSettings) -> Blueprint:
    """The route that lists the latest successful jobs."""
    routes = Blueprint("recent", __name__)

    @routes.get("/recent")
    @Operation(
        answers={
            200: Answer(
                means="where their statuses are found; to a browser, the gallery",
                body=Recent,
                media=("text/html",),
            ),
            304: UNCHANGED,
        },
        errors=(400, 401, 408, 413, 415, 503),
        parameters=(FACTS,),
        keys=(*KEYS, "query"),
    )
    def recent() -> ResponseReturnValue:
        """The last ten, newest first. The key comes in a header, the query or a JSON body.

        With `facts`, also the jobs of this key that wait or run, and the finished ones: the last
        ten of everybody and the others of this key. An admin key sees everybody's.

        Whoever prefers `text/html` gets the gallery, a page that holds no job and needs no key: it
        asks for the key, and then for this list.
        """
        if _wants_a_page():
            return _varying(page_response("gallery.html"))
        body = read_object(request, settings.max_body_bytes) if request.mimetype else {}
        body.setdefault("api_key", request.args.get("api_key"))
        caller = require_key(keys, request, body)
        found = desk.records.recent(COUNT)
        answer: dict[str, Any] = {"Recent_finished_images": [location_of(each) for each in found]}
        if request.args.get("facts", "").lower() in ("true", "1", "yes"):
            answer |= _facts(desk, caller)
        return answer, {"Vary": "Accept", "Cache-Control": "no-store"}

    return routes


def _wants_a_page() -> bool:
    """Whether HTML is preferred: `*/*`, as curl and most programs send, means JSON."""
    accepted = request.accept_mimetypes
    return accepted["text/html"] > accepted["application/json"]


def _varying(response: Any) -> Any:
    response.vary.add("Accept")
    return response


def _facts(desk: Desk, caller: Caller) -> dict[str, Any]:
    under_way = desk.overview.under_way(of=caller.may_cancel)
    finished = desk.overview.finished(of=caller.may_cancel, of_all=COUNT)
    return {
        "Under_way": [_described(desk, status) for status in under_way],
        "Finished": [_described(desk, status) for status in finished],
    }


def _described(desk: Desk, status: JobStatus) -> dict[str, Any]:
    return describe(desk, status, images=False) | {
        "Location": location_of(status.job_id),
        "kind": status.kind,
        "submitted": status.submitted,
        "started": status.started,
        "finished": status.finished,
        "request": status.request,
    }
