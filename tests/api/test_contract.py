"""What the service says of itself: /openapi.json, /docs, /templates, /capabilities."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import OpenAPIV31SpecValidator

from api.auth import DUMMY_KEY
from api.dialects.native.status_models import RecentJobs, Status
from api.openapi import DIALECTS, NATIVE, VERSION, methods_of, path_of
from api.routes.docs import LOGO_STYLE
from jobs.parameters.schemas import SCHEMAS, fields_of
from tests.api.conftest import HandWorker
from tests.jobs.validation.test_request import EXAMPLE, IMAGE_EXAMPLE

ROOT = Path(__file__).parents[2]
KEY = {"X-API-Key": DUMMY_KEY}
NAMED = {
    "txt2img": EXAMPLE.keys(),
    "img2img": IMAGE_EXAMPLE.keys(),
    "upscale": {"init_img", "upscale_by", "upscaler"},
}
"""The fields that a template has to have."""


@pytest.fixture
def document(client: FlaskClient) -> dict[str, Any]:
    return client.get("/openapi.json").get_json()


@pytest.fixture
def documents(app: Flask, client: FlaskClient) -> dict[str, dict[str, Any]]:
    """The document of every dialect, by its name."""
    others = [name for name in app.extensions[DIALECTS] if name != NATIVE]
    answers = {name: client.get(f"/openapi/{name}.json") for name in others}
    answers[NATIVE] = client.get("/openapi.json")
    return {name: answer.get_json() for name, answer in answers.items()}


def test_every_route_is_in_one_document_and_nothing_else(
    app: Flask, documents: dict[str, dict[str, Any]]
) -> None:
    routes = [(path_of(rule), m) for rule in app.url_map.iter_rules() for m in methods_of(rule)]
    described = [
        (path, method)
        for document in documents.values()
        for path, methods in document["paths"].items()
        for method in methods
    ]

    assert sorted(described) == sorted(routes)


def test_every_document_is_openapi(documents: dict[str, dict[str, Any]]) -> None:
    for document in documents.values():
        OpenAPIV31SpecValidator(document).validate()
        names = re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document))
        assert set(names) <= document["components"]["schemas"].keys()


def test_a_document_of_no_dialect_is_not_found(client: FlaskClient) -> None:
    for name in ("sheep", "native"):
        answer = client.get(f"/openapi/{name}.json")
        assert answer.status_code == 404
        assert name in answer.get_json()["error"]


def test_the_document_has_the_version_of_the_project(document: dict[str, Any]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert document["info"]["version"] == VERSION == project["version"]


def test_a_body_is_described_by_type_with_its_bounds(document: dict[str, Any]) -> None:
    content = document["paths"]["/img2img"]["post"]["requestBody"]["content"]["application/json"]
    schemas = document["components"]["schemas"]
    standard = schemas["StandardImageToImage"]

    assert content["schema"]["discriminator"]["mapping"].keys() == {"standard", "optimized"}
    assert standard["additionalProperties"] is False
    assert standard["properties"].keys() >= {"api_key", "plms", "from-file"}
    assert "plms" not in schemas["OptimizedImageToImage"]["properties"]
    assert standard["properties"]["init_img"]["contentEncoding"] == "base64"
    assert standard["properties"]["H"]["maximum"] == 1536


def test_all_that_a_finished_job_tells_is_described(
    client: FlaskClient, worker: HandWorker
) -> None:
    body = {"prompt": "a", "return_base64": True, "skip_grid": False, "n_iter": 2, "W": 64}
    location = client.post("/generate", json=body, headers=KEY).headers["Location"]
    worker.draw()

    answer = client.get(location).get_json()

    assert answer.keys() <= Status.model_fields.keys()
    assert Status.model_validate(answer).model_dump(exclude_unset=True) == answer


def test_the_deprecated_keys_of_a_status_name_those_that_replace_them(
    document: dict[str, Any],
) -> None:
    for model, replaced in {
        "Status": {
            "Images": "image_urls",
            "images": "image_count",
            "image": "image_index",
            "error": "failure.message",
            "code": "failure.code",
        },
        "JobPreview": {"image": "image_index"},
    }.items():
        keys = document["components"]["schemas"][model]["properties"]
        deprecated = {
            key: schema["description"] for key, schema in keys.items() if "deprecated" in schema
        }
        assert deprecated == {old: f"deprecated: read `{new}`" for old, new in replaced.items()}
        assert {new.partition(".")[0] for new in replaced.values()} <= keys.keys()


def test_the_page_and_its_files_come_from_here(client: FlaskClient) -> None:
    page = client.get("/docs", follow_redirects=True).text

    linked = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(linked) >= 4
    for address in linked:
        assert address.startswith("/docs/")
        assert client.get(address).status_code == 200
    assert not re.search(r"https?://", page)
    assert not re.search(r"@import|url\(['\"]?https?:", client.get("/docs/swagger-ui.css").text)


def test_the_bar_that_lets_choose_a_document_may_have_its_style(client: FlaskClient) -> None:
    script = client.get("/docs/swagger-ui-standalone-preset.js").data
    assert re.findall(rb'createElement\("style",null,"([^"]*)"\)', script) == [LOGO_STYLE]


@pytest.mark.parametrize("kind", SCHEMAS)
@pytest.mark.parametrize("job_type", ["standard", "optimized"])
def test_a_template_names_the_references_fields_and_no_unknown_one(
    client: FlaskClient, kind: Any, job_type: Any
) -> None:
    template = client.get(f"/templates/{kind}-{job_type}")

    assert template.status_code == 200
    fields = template.get_json().keys() - {"api_key"}
    assert fields <= fields_of(SCHEMAS[kind][job_type]).keys()
    assert fields >= NAMED[kind]


def test_every_template_is_listed_and_can_be_posted_where_it_says(
    client: FlaskClient, worker: HandWorker
) -> None:
    worker.announce("standard", "optimized")

    listed = client.get("/templates").get_json()["templates"]

    assert len(listed) == 6
    for template in listed:
        body = client.get(template["href"]).get_json()
        answer = client.post(template["post_to"], json=body)
        assert answer.status_code == 202, answer.text


def test_a_template_that_does_not_exist_is_an_error_with_those_that_do(
    client: FlaskClient,
) -> None:
    answer = client.get("/templates/dragon")

    assert answer.status_code == 404
    assert "txt2img-optimized" in answer.get_json()["error"]


def test_what_can_be_asked_for_is_told_without_a_key(
    client: FlaskClient, worker: HandWorker
) -> None:
    told = client.get("/capabilities").get_json()

    assert told["types"] == ["optimized"]
    assert told["models"] == ["tiny"]
    assert told["default_model"] == "tiny"
    assert {"key": "k_dpmpp_2s_a", "label": "DPM++ 2S a", "aliases": ["dpm2s_a"]} in told[
        "samplers"
    ]
    assert {"key": "ddim_uniform", "label": "DDIM", "aliases": ["DDIM Uniform"]} in told[
        "schedulers"
    ]
    assert told["formats"] == ["png", "jpg", "webp"]
    assert told["precisions"] == ["mixed", "full", "autocast"]
    assert "scripts/v1-inference.yaml" in told["configs"]
    assert told["limits"]["max_side"] == 512
    assert told["defaults"]["optimized"]["txt2img"]["ddim_steps"] == 20
    assert told["defaults"]["standard"]["img2img"]["n_iter"] == 2
    of_texts, of_images = (set(told["picture_fields"][kind]) for kind in ("txt2img", "img2img"))
    assert {"scale", "tiling"} <= of_texts & of_images
    assert "hires_scale" in of_texts - of_images
    assert "upscale" in of_images - of_texts
    assert not {"outdir", "from-file", "init_img"} & (of_texts | of_images)


@pytest.mark.parametrize("kind", ["txt2img", "img2img"])
def test_a_body_of_nothing_but_defaults_asks_for_the_same_as_none(
    client: FlaskClient, worker: HandWorker, kind: str
) -> None:
    template = client.get(f"/templates/{kind}-optimized").get_json()
    needed = {name: template[name] for name in ("prompt", "init_img") if name in template}
    defaults = client.get("/capabilities").get_json()["defaults"]["optimized"][kind]

    stored = []
    for body in (needed, {**defaults, **needed}):
        path = "/generate" if kind == "txt2img" else "/img2img"
        answer = client.post(path, json=body, headers=KEY)
        assert answer.status_code == 202, answer.text
        stored.append(json.loads(worker.claim()[0].stored_request))
    assert stored[0] == stored[1]


def test_all_that_recent_tells_of_jobs_is_described(
    client: FlaskClient, worker: HandWorker
) -> None:
    for _ in range(2):
        client.post("/generate", json={"prompt": "a", "W": 64}, headers=KEY)
    worker.draw()

    answer = client.get("/recent?facts=true", headers=KEY).get_json()

    assert len(answer["Under_way"]) == len(answer["Finished"]) == 1
    assert RecentJobs.model_validate(answer).model_dump(exclude_unset=True) == answer
