"""The fields of a record in Redis, read as a status."""

import json
from collections.abc import Mapping
from typing import Any

from jobs.status import Failure, JobState, JobStatus, Progress, Result


def record_of(fields: list[str]) -> dict[str, str]:
    """The hash that Redis answers a script with, as a list."""
    return dict(zip(fields[::2], fields[1::2], strict=True))


def status_of(job_id: str, record: Mapping[str, str], place: int | None) -> JobStatus:
    """What a record says of its job; `place` is the job's in its queue."""

    def of_json(field: str, empty: Any) -> Any:
        return json.loads(record[field]) if field in record else empty

    state = JobState(record["state"])
    progress = of_json("progress", None)
    result = of_json("result", None)
    failure = of_json("failure", None)
    return JobStatus.model_validate(
        {
            "job_id": job_id,
            "kind": record["kind"],
            "type": record["type"],
            "state": state,
            "place": place if state is JobState.PENDING else None,
            "priority": int(record["priority"]),
            "progress": progress and Progress.model_validate(progress),
            "fraction": float(record["fraction"]),
            "loading": of_json("loading", None) if state is JobState.LOADING else None,
            "request": of_json("request", {}),
            "model": record["model"],
            "warnings": tuple(of_json("warnings", ())),
            "result": result and Result.model_validate(result),
            "failure": failure and Failure.model_validate(failure),
            "submitter": record["submitter"],
            "cancel_asked": record.get("cancel") == "1",
            "attempts": int(record["attempts"]),
            "submitted": float(record["submitted"]),
            "started": float(record["started"]) if "started" in record else None,
            "finished": float(record["finished"]) if "finished" in record else None,
        }
    )
