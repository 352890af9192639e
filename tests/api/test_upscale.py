"""POST /upscale, and what the service says of a job without a model and without a prompt."""

import io
from typing import Any

from flask.testing import FlaskClient
from PIL import Image

from api.auth import DUMMY_KEY
from jobs.records.claim import Claim
from jobs.status import Progress, Result, StoredPicture
from tests.api.conftest import HandWorker, painted
from tests.jobs.validation.test_request import picture

KEY = {"X-API-Key": DUMMY_KEY}


def submit(client: FlaskClient, **body: Any) -> str:
    answer = client.post("/upscale", json={"init_img": picture(), **body}, headers=KEY)
    assert answer.status_code == 202, answer.text
    assert answer.get_json()["active_model"] == ""
    return answer.get_json()["task_id"]


def finish(worker: HandWorker, claim: Claim) -> None:
    with worker.store.staging(claim.job_id, "outputs/large", claim.token) as staging:
        name = staging.put(0, painted((48, 48), "red", "png"), "png")
        worker.claims.publishing(claim, staging.names, size=staging.size, saved=True)
        staging.publish()
    large = StoredPicture(name=name, width=48, height=48, index=0)
    done = Result(images=(large,), format="png", upscaler="some-x2", timings={"upscale": 0.5})
    worker.claims.finish(claim, done)


def test_a_job_without_a_prompt_is_followed_as_the_others(
    client: FlaskClient, worker: HandWorker
) -> None:
    job_id = submit(client, upscale_by=2)
    assert client.get(f"/status/{job_id}").get_json()["Status"] == "waiting, place 1 in the queue"

    claim, request = worker.claim()
    assert (claim.job_id, claim.kind, request.kind) == (job_id, "upscale", "upscale")
    assert worker.store.read_input(job_id, "init")
    assert client.get(f"/status/{job_id}").get_json()["Status"] == "starting"
    worker.claims.report(claim, Progress(step=0, steps=1, fraction=0.25, upscaling=True))
    status = client.get(f"/status/{job_id}").get_json()
    assert (status["State"], status["Status"], status["Progress"]) == (
        "PROGRESS",
        "upscaling",
        0.25,
    )
    listed = client.get("/recent?facts=true", headers=KEY).get_json()["Under_way"]
    assert [(job["kind"], job["request"]["upscale_by"]) for job in listed] == [("upscale", 2)]

    finish(worker, claim)
    status = client.get(f"/status/{job_id}?images=false").get_json()
    assert (status["State"], status["Size"], status["seeds"]) == ("SUCCESS", [48, 48], [])
    assert status["metadata"].keys() == {"upscaler", "timings", "request", "inputs"}
    image = client.get(status["image_urls"][0])
    assert Image.open(io.BytesIO(image.data)).size == (48, 48)
    finished = client.get("/recent?facts=true", headers=KEY).get_json()["Finished"]
    assert finished[0]["metadata"]["upscaler"] == "some-x2"


def test_it_can_be_cancelled_and_sent_twice(client: FlaskClient, worker: HandWorker) -> None:
    headers = {**KEY, "Idempotency-Key": "once"}
    body = {"init_img": picture(), "upscaler": "lanczos"}
    first, second = (
        client.post("/upscale", json=body, headers=headers).get_json()["task_id"] for _ in "12"
    )
    assert first == second
    assert client.post(f"/cancel/{first}", headers=KEY).status_code == 200
    assert client.get(f"/status/{first}").get_json()["State"] == "CANCELLED"
    assert worker.queued() == 0


def test_the_fields_of_a_generation_are_refused_by_name(
    client: FlaskClient, worker: HandWorker
) -> None:
    body = {"init_img": picture(), "prompt": "a cat", "seed": 1, "upscale_by": 9}
    answer = client.post("/upscale", json=body, headers=KEY)
    assert answer.status_code == 400
    assert {fault["field"] for fault in answer.get_json()["details"]} == {
        "prompt",
        "seed",
        "upscale_by",
    }


def test_the_service_says_what_may_be_sent(client: FlaskClient, worker: HandWorker) -> None:
    told = client.get("/capabilities").get_json()
    assert told["upscalers"] == ["default", "lanczos", "nearest"]
    assert told["defaults"]["optimized"]["upscale"]["upscaler"] == "default"
    assert told["limits"]["max_output_pixels"] == 4 * 4096 * 4096
    document = client.get("/openapi.json").get_json()
    body = document["paths"]["/upscale"]["post"]["requestBody"]["content"]["application/json"]
    assert set(body["schema"]["discriminator"]["mapping"]) == {"standard", "optimized"}
    assert "prompt" not in document["components"]["schemas"]["OptimizedUpscale"]["properties"]
