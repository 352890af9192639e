import pytest

from jobs.failures import FailureCode
from jobs.status import Failure

OF_THE_REQUEST = {
    "bad_prompt",
    "bad_request",
    "bad_image",
    "lora_mismatch",
    "unknown_model",
    "unknown_lora",
    "unknown_embedding",
    "unknown_vae",
}


@pytest.mark.parametrize("code", FailureCode)
def test_a_code_says_whose_fault_a_failure_is(code: FailureCode) -> None:
    assert code.requests_fault == (code in OF_THE_REQUEST)
    assert Failure(code=code, message="").requests_fault == code.requests_fault


def test_a_failure_of_another_version_is_read_as_the_services_fault() -> None:
    failure = Failure.model_validate_json('{"code": "of_a_later_version", "message": "sorry"}')

    assert not failure.requests_fault


def test_a_code_is_plain_text_in_json() -> None:
    failure = Failure(code=FailureCode.BAD_PROMPT, message="sorry")

    assert failure.model_dump_json() == '{"code":"bad_prompt","message":"sorry"}'
