"""The client's words are the service's: two lists that must agree."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, get_args, get_type_hints

import pytest

from api.auth import DUMMY_KEY
from api.dialects.native.response_models import Capabilities as ApiCapabilities
from api.dialects.native.response_models import InstalledModel
from api.dialects.native.response_models import Models as ApiModels
from api.dialects.native.response_models import Status as ApiStatus
from jobs.fields import PictureFormat, Precision
from jobs.names import JOB_TYPES
from jobs.schemas import SCHEMAS
from jobs.status import JobState
from sd_client import BadArgument, ImageParameters, Model, Models, Parameters, State, Status
from sd_client.commands import options
from sd_client.parameters import OURS, SHORTER, body_of
from sd_client.transport import DUMMY_KEY as CLIENTS_DUMMY_KEY


class Noted(Mapping[str, Any]):
    """An answer that notes which of its keys are read."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self._answer = answer
        self.read: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        self.read.add(key)
        return self._answer[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._answer)

    def __len__(self) -> int:
        return len(self._answer)


def accepted(kind: str) -> set[str]:
    """The fields that a request of a kind may have, of any type."""
    return {
        info.alias or name
        for schema in SCHEMAS[kind].values()  # pyright: ignore[reportArgumentType]
        for name, info in schema.model_fields.items()
    }


def said(parameters: type) -> set[str]:
    """The service's words for what a caller may say."""
    return {SHORTER.get(name, name) for name in get_type_hints(parameters) if name != "size"}


def test_every_parameter_of_the_service_can_be_said_and_no_other() -> None:
    ours = {"prompt", *OURS} - {"api_key"}
    assert said(Parameters) | ours - {"init_img"} == accepted("txt2img")
    assert said(ImageParameters) | ours == accepted("img2img")


def test_every_fact_of_a_status_is_read() -> None:
    answer = Noted({"task_id": "j", "State": "PENDING", "Status": "waits", "Progress": 0})
    Status.read(answer)

    # pictures are fetched as files
    assert answer.read == set(ApiStatus.model_fields) - {"Image"}


def test_the_models_and_capabilities_are_told_in_the_services_words() -> None:
    assert {field.name for field in fields(Model)} == set(InstalledModel.model_fields)
    assert {field.name for field in fields(Models)} - {"raw"} == set(ApiModels.model_fields)
    assert {"types", "models", "default_model", "samplers", "limits", "defaults"} <= set(
        ApiCapabilities.model_fields
    )


def test_the_states_and_choices_are_the_same() -> None:
    assert {state.value: state.final for state in State} == {
        state.value: state.final for state in JobState
    }
    assert {one.value for one in options.Type} == set(JOB_TYPES)
    assert {one.value for one in options.Format} == set(get_args(PictureFormat))
    assert {one.value for one in options.Precision} == set(get_args(Precision))
    assert CLIENTS_DUMMY_KEY == DUMMY_KEY


def test_shorter_words_become_the_services() -> None:
    body = body_of("a cat", {"steps": 5, "size": "64x128", "model": "tiny", "from_file": False})

    assert body == {
        "prompt": "a cat",
        "ddim_steps": 5,
        "W": 64,
        "H": 128,
        "ckpt": "tiny",
        "from-file": False,
    }
    assert body_of("a cat", {"size": (64, 128)}) == {"prompt": "a cat", "W": 64, "H": 128}


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"steps": 5, "ddim_steps": 6}, "ddim_steps a second time"),
        ({"size": "64x64", "W": 64}, "W says W a second time"),
        ({"size": "large"}, "'large'; it is width x height"),
        ({"size": "1x2x3"}, "width x height"),
        ({"size": 5}, "width x height"),
        ({"return_base64": True}, "return_base64 cannot be set: pictures are fetched as files"),
        ({"api_key": "x"}, "SD_API_KEY"),
    ],
)
def test_what_cannot_be_meant_is_said_before_anything_is_sent(
    parameters: dict[str, Any], problem: str
) -> None:
    with pytest.raises(BadArgument, match=problem):
        body_of("a cat", parameters)
