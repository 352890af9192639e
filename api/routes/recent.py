"""GET /recent: the latest pictures."""

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from api.answers import Recent
from api.auth import KeyRing, require_key
from api.body import read_object
from api.desk import Desk
from api.operations import KEYS, Answer, Operation
from api.presentation import location_of
from api.settings import ApiSettings

COUNT = 10


def recent_routes(desk: Desk, keys: KeyRing, settings: ApiSettings) -> Blueprint:
    """The route that lists the latest successful jobs."""
    routes = Blueprint("recent", __name__)

    @routes.get("/recent")
    @Operation(
        answers={200: Answer(means="where their statuses are found", body=Recent)},
        errors=(400, 401, 408, 413, 415, 503),
        keys=(*KEYS, "query"),
    )
    def recent() -> ResponseReturnValue:
        """The last ten, newest first. The key comes in a header, the query or a JSON body."""
        body = read_object(request, settings.max_body_bytes) if request.mimetype else {}
        body.setdefault("api_key", request.args.get("api_key"))
        require_key(keys, request, body)
        found = desk.records.recent(COUNT)
        return {"Recent_finished_images": [location_of(job_id) for job_id in found]}

    return routes
