"""GET and POST /sdapi/v1/options: a key's own settings."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from api.auth import DUMMY_KEY
from jobs import keys
from jobs.worker_facts import ModelFacts, WorkerFacts
from tests.api.a1111.conftest import basic
from tests.api.conftest import HandWorker

OTHER_KEY = "ключ"
TINY = ModelFacts(name="tiny", native_size=256, hash="0123456789")
INK = ModelFacts(name="style/ink", hash="6ce0161689")
BROKEN = ModelFacts(name="broken", problem="is damaged")


@pytest.fixture(autouse=True)
def installed(worker: HandWorker) -> None:
    worker.workers.announce(
        WorkerFacts(
            worker_id="by-hand",
            types=("optimized",),
            models=("broken", "style/ink", "tiny"),
            default_model="tiny",
            device="cpu",
            slots=1,
            model_facts=(TINY, INK, BROKEN),
            vaes=("mse",),
        ),
        ttl_seconds=60,
    )


def options_of(client: FlaskClient, key: str = DUMMY_KEY) -> dict[str, Any]:
    answer = client.get("/sdapi/v1/options", headers=basic(key))
    assert answer.status_code == 200
    return answer.get_json()


def test_what_clients_look_up_is_there(client: FlaskClient) -> None:
    options = options_of(client)

    assert options["sd_model_checkpoint"] == "tiny [0123456789]"
    assert options["sd_checkpoint_hash"] == "0123456789"
    assert options["CLIP_stop_at_last_layers"] == 1
    assert (options["sd_vae"], options["samples_format"]) == ("Automatic", "png")
    # Open WebUI and SillyTavern tell forks of A1111 from it by these
    assert not {"forge_preset", "forge_additional_modules"} & options.keys()


def test_the_whole_object_may_come_back_with_another_model(client: FlaskClient) -> None:
    options = options_of(client)

    answer = client.post(
        "/sdapi/v1/options",
        json=options | {"sd_model_checkpoint": "style/ink [6ce0161689]"},
        headers=basic(DUMMY_KEY),
    )

    assert (answer.status_code, answer.get_json()) == (200, {"warnings": []})
    after = options_of(client)
    assert after["sd_model_checkpoint"] == "style/ink [6ce0161689]"
    assert after["sd_checkpoint_hash"] == "6ce0161689"
    assert after.keys() == options.keys()


@pytest.mark.parametrize(
    "spelling", ["style/ink", "ink", "ink.safetensors", "style\\ink [6ce0161689]", "6CE0161689"]
)
def test_a_model_is_named_as_a1111_allows(client: FlaskClient, spelling: str) -> None:
    client.post(
        "/sdapi/v1/options", json={"sd_model_checkpoint": spelling}, headers=basic(DUMMY_KEY)
    )

    assert options_of(client)["sd_model_checkpoint"] == "style/ink [6ce0161689]"


def test_two_keys_have_options_of_their_own(client: FlaskClient) -> None:
    changes = {"sd_model_checkpoint": "ink", "CLIP_stop_at_last_layers": 2, "sd_vae": "mse"}
    client.post("/sdapi/v1/options", json=changes, headers=basic(OTHER_KEY))

    assert options_of(client)["sd_model_checkpoint"] == "tiny [0123456789]"
    other = options_of(client, OTHER_KEY)
    assert other["sd_model_checkpoint"] == "style/ink [6ce0161689]"
    assert (other["CLIP_stop_at_last_layers"], other["sd_vae"]) == (2, "mse")


def test_null_restores_a_default(client: FlaskClient) -> None:
    for value in (2, None):
        changes = {"CLIP_stop_at_last_layers": value}
        client.post("/sdapi/v1/options", json=changes, headers=basic(DUMMY_KEY))

    assert options_of(client)["CLIP_stop_at_last_layers"] == 1


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"sd_model_checkpoint": "nosuch"}, "one of: default, broken, style/ink, tiny"),
        ({"sd_model_checkpoint": "ink [ffffffffff]"}, "style/ink [6ce0161689]"),
        ({"sd_model_checkpoint": 5}, "a string"),
        ({"sd_vae": "nosuch"}, "one of: Automatic, mse"),
        ({"CLIP_stop_at_last_layers": 13}, "up to 12"),
        ({"samples_format": "exr"}, "png"),
    ],
)
def test_an_impossible_value_is_refused_and_says_what_there_is(
    client: FlaskClient, changes: dict[str, Any], expected: str
) -> None:
    before = options_of(client)

    answer = client.post("/sdapi/v1/options", json=changes, headers=basic(DUMMY_KEY))

    (fault,) = answer.get_json()["detail"]
    assert (answer.status_code, fault["loc"]) == (422, ["body", *changes])
    assert expected in fault["msg"]
    assert options_of(client) == before


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"jpeg_quality": 80, "randn_source": "GPU", "s_churn": 0.0}, []),  # A1111's defaults
        ({"grid_save": False, "face_restoration": False}, ["grid_save"]),
        ({"some_extension": {"on": True}, "sd_checkpoint_hash": "0"}, None),
    ],
)
def test_an_option_without_effect_is_named(
    client: FlaskClient, changes: dict[str, Any], named: list[str] | None
) -> None:
    answer = client.post("/sdapi/v1/options", json=changes, headers=basic(DUMMY_KEY))

    assert answer.status_code == 200
    warned = [warning.partition(":")[0] for warning in answer.get_json()["warnings"]]
    assert sorted(warned) == sorted(changes if named is None else named)


@pytest.mark.parametrize("method", ["get", "post"])
def test_without_a_key_there_are_none(client: FlaskClient, method: str) -> None:
    answer = getattr(client, method)("/sdapi/v1/options")

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic")
    assert answer.get_json()["detail"]


def test_an_option_that_another_version_has_set_leaves_the_others(
    client: FlaskClient, worker: HandWorker
) -> None:
    client.post("/sdapi/v1/options", json={"jpeg_quality": 61}, headers=basic(DUMMY_KEY))
    (stored,) = worker.redis.scan_iter(keys.OPTIONS + "*")
    worker.redis.hset(stored, '"samples_format"', '"avif"')

    options = options_of(client)

    assert (options["samples_format"], options["jpeg_quality"]) == ("png", 61)
