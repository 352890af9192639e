"""The client's names agree with the service's."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, get_args, get_type_hints

import pytest

from api.auth import DUMMY_KEY
from api.dialects.native.capabilities_models import Capabilities as ApiCapabilities
from api.dialects.native.capabilities_models import InstalledModel
from api.dialects.native.capabilities_models import Models as ApiModels
from api.dialects.native.status_models import Status as ApiStatus
from jobs.model_defaults import Preset
from jobs.names import JOB_TYPES
from jobs.parameters.schemas import SCHEMAS
from jobs.parameters.types import Precision
from jobs.pictures.output_formats import PictureFormat
from jobs.status import JobState
from sd_client import (
    BadArgument,
    ImageParameters,
    Model,
    Models,
    Parameters,
    Preview,
    State,
    Status,
)
from sd_client.commands import options
from sd_client.parameters import RESERVED, SHORT_NAMES, body_of
from sd_client.parameters import PictureFormat as ClientsPictureFormat
from sd_client.transport import DUMMY_KEY as CLIENTS_DUMMY_KEY


class ReadKeys(Mapping[str, Any]):
    """An answer that records which of its keys are read."""

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


def accepted(request_kind: str) -> set[str]:
    """The fields of txt2img or img2img requests, of all job types."""
    return {
        info.alias or name
        for schema in SCHEMAS[request_kind].values()  # pyright: ignore[reportArgumentType]
        for name, info in schema.model_fields.items()
    }


def settable(parameters: type) -> set[str]:
    """The service's names of the parameters that a caller can set."""
    return {SHORT_NAMES.get(name, name) for name in get_type_hints(parameters) if name != "size"}


def test_a_caller_can_set_exactly_the_parameters_of_the_service() -> None:
    others = {"prompt", *RESERVED} - {"api_key"}
    assert settable(Parameters) | others - {"init_img"} == accepted("txt2img")
    assert settable(ImageParameters) | others == accepted("img2img")


def test_every_key_of_a_status_is_read() -> None:
    answer = ReadKeys({"task_id": "j", "State": "PENDING", "Status": "waits", "Progress": 0})
    Status.read(answer)

    keys = set(ApiStatus.model_fields) | {"image_urls", "image_count", "image_index", "failure"}
    assert answer.read == keys - {"Image"}  # the client fetches pictures as files


NEW = {"image_urls": ["/images/j/0"], "image_count": 3, "image_index": 2}
OLD = {"Images": ["/images/j/0"], "images": 3, "image": 2}


@pytest.mark.parametrize(
    "keys",
    [
        NEW | {"failure": {"code": "out_of_memory", "message": "no memory left"}},
        OLD | {"code": "out_of_memory", "error": "no memory left"},
        {"Images": ["other"], "images": 8, "image": 7, "code": "other", "error": "other"}
        | NEW
        | {"failure": {"code": "out_of_memory", "message": "no memory left"}},
    ],
    ids=["new", "older service", "both"],
)
def test_a_status_is_read_from_new_keys_and_from_those_of_older_services(
    keys: dict[str, Any],
) -> None:
    status = Status.read(
        {"task_id": "j", "State": "FAILURE", "Status": "failed", "Progress": 0.5, **keys}
    )

    assert (status.images, status.progress.image, status.progress.images) == (
        ("/images/j/0",),
        2,
        3,
    )
    assert (status.code, status.error) == ("out_of_memory", "no memory left")


@pytest.mark.parametrize("key", ["image", "image_index"])
def test_a_preview_is_read_from_both_keys(key: str) -> None:
    answer = {"step": 1, "steps": 2, key: 3, "width": 8, "height": 8, "Preview": "data:,eA=="}

    assert Preview.read(answer) == Preview(1, 2, 3, 8, 8, b"x")


def test_models_and_capabilities_have_the_keys_of_the_service() -> None:
    assert {field.name for field in fields(Model)} == {
        *InstalledModel.model_fields,
        "native_size",
    }
    assert {field.name for field in fields(Models)} - {"raw"} == set(ApiModels.model_fields)
    assert {"types", "models", "default_model", "samplers", "limits", "defaults"} <= set(
        ApiCapabilities.model_fields
    )


def test_the_states_and_choices_are_the_same() -> None:
    assert {state.value: state.final for state in State} == {
        state.value: state.final for state in JobState
    }
    assert {choice.value for choice in options.Type} == set(JOB_TYPES)
    assert get_args(ClientsPictureFormat) == get_args(PictureFormat)
    assert {choice.value for choice in options.Preset} == set(get_args(Preset))
    assert {choice.value for choice in options.Precision} == set(get_args(Precision))
    assert CLIENTS_DUMMY_KEY == DUMMY_KEY


def test_short_names_become_the_names_of_the_service() -> None:
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
        ({"steps": 5, "ddim_steps": 6}, "sets ddim_steps a second time"),
        ({"size": "64x64", "W": 64}, "W sets W a second time"),
        ({"size": "large"}, "'large'; expected width x height"),
        ({"size": "1x2x3"}, "width x height"),
        ({"size": 5}, "width x height"),
        (
            {"return_base64": True},
            "return_base64 cannot be set: this client fetches the pictures as files",
        ),
        ({"api_key": "x"}, "SD_API_KEY"),
    ],
)
def test_invalid_parameters_raise_bad_argument(parameters: dict[str, Any], problem: str) -> None:
    with pytest.raises(BadArgument, match=problem):
        body_of("a cat", parameters)
