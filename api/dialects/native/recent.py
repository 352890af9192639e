"""GET /recent: the latest pictures; JSON for programs, the gallery for browsers."""

from typing import Any

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue

from api.dialect import Services
from api.dialects.native.authentication import read_request
from api.dialects.native.status_json import listed_job_json, location_of
from api.dialects.native.status_models import RecentJobs
from api.operations import KEYS, ApiResponse, Operation, Parameter
from api.page_files import page_response
from jobs.records.record import ANY_SUBMITTER

COUNT = 10
FACTS = Parameter(
    name="facts",
    where="query",
    description="`true`, `1` or `yes` adds `Under_way` and `Finished`: the jobs themselves",
)


def recent_routes(services: Services) -> Blueprint:
    """The route that lists the latest successful jobs."""
    routes = Blueprint("recent", __name__)
    jobs = services.jobs

    @routes.get("/recent")
    @Operation(
        responses={
            200: ApiResponse(
                description="the addresses of their statuses; for a browser, the gallery",
                body=RecentJobs,
                media=("text/html",),
            ),
            304: ApiResponse(description="the browser's copy of the gallery is current"),
        },
        errors=(400, 401, 408, 413, 415, 429, 503),
        parameters=(FACTS,),
        keys=(*KEYS, "query"),
    )
    def recent() -> ResponseReturnValue:
        """The last ten, newest first. The key comes in a header, the query or a JSON body.

        With `RECENT_OF=own`, the default once keys are set, they are those of this key, with
        `RECENT_OF=all` those of all keys. `facts` adds the waiting and running jobs of this key,
        and its finished jobs besides the last ten. An admin key gets those of all keys.

        A client that prefers `text/html` gets the gallery, a page that needs no key. It contains no
        job: it asks for the key and then requests this list.
        """
        if _prefers_html():
            return _varying(page_response("gallery.html"))
        caller, _ = read_request(services, request, query_key=request.args.get("api_key"))
        of = caller.may_cancel
        of_all = COUNT if services.settings.recent_of_all_keys else 0
        if of_all or of == ANY_SUBMITTER:
            latest = jobs.recent(COUNT)
        else:
            latest = [status.job_id for status in jobs.finished(of=of, of_all=0)[:COUNT]]
        answer: dict[str, Any] = {
            "Recent_finished_images": [location_of(job_id) for job_id in latest]
        }
        if request.args.get("facts", "").lower() in ("true", "1", "yes"):
            unfinished, finished = jobs.unfinished(of=of), jobs.finished(of=of, of_all=of_all)
            answer["Under_way"] = [listed_job_json(status) for status in unfinished]
            answer["Finished"] = [listed_job_json(status) for status in finished]
        return answer, {"Vary": "Accept"}

    return routes


def _prefers_html() -> bool:
    """False for `*/*`, as curl and most programs send it."""
    accepted = request.accept_mimetypes
    return accepted["text/html"] > accepted["application/json"]


def _varying(response: Response) -> Response:
    response.vary.add("Accept")
    return response
