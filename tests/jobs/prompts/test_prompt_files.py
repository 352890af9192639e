"""Prompts from a file: one a line, in a folder that no request can leave."""

from pathlib import Path

import pytest

from jobs.errors import Fault, InvalidRequest
from jobs.limits import Limits
from jobs.prompts.prompt_files import PromptFiles
from jobs.records.new_job import NewJob, new_job_id
from jobs.records.stored_prompts import prompts_of
from jobs.validation.request import parse_request


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "prompts"
    folder.mkdir()
    (folder / "zoo.txt").write_text("a red cat\n\n  a (blue) duck \n")
    return folder


def fault(folder: Path | None, name: str = "zoo.txt", **body: object) -> Fault:
    with pytest.raises(InvalidRequest) as caught:
        parse_request(
            "txt2img",
            {"from-file": name, **body},
            limits=Limits(max_images=4),
            prompt_files=PromptFiles(folder),
        )
    (found,) = caught.value.faults
    return found


def test_every_line_of_the_file_is_a_prompt(folder: Path) -> None:
    assert tuple(each.text for each in PromptFiles(folder).read("zoo.txt")) == (
        "a red cat",
        "a (blue) duck",
    )


def test_a_request_with_a_file_needs_no_prompt_of_its_own(folder: Path) -> None:
    request = parse_request("txt2img", {"from-file": "zoo.txt"}, prompt_files=PromptFiles(folder))
    assert request.from_file == "zoo.txt"


def test_an_unknown_file_is_answered_with_the_known_ones(folder: Path) -> None:
    found = fault(folder, "park.txt")
    assert (found.field, found.code) == ("from-file", "unknown_prompt_file")
    assert "zoo.txt" in found.expected
    assert "none is installed" in fault(None).expected


@pytest.mark.parametrize(
    ("content", "code", "problem"),
    [
        (b"\n \n", "missing", "holds no prompt"),
        (b"\xff\xfea", "invalid_characters", "is not UTF-8"),
        (b"a cat\na (cat:1.2.3)", "bad_prompt", "line 2"),
        (b"a cat\n" + b"x" * 20_001, "bad_prompt", "line 2"),
        (b"a\x00b", "bad_prompt", "line 1"),
        (b"a cat\n" * 300_000, "too_long", "is too large"),
    ],
    ids=["empty", "not text", "no number", "long line", "nul", "large"],
)
def test_a_file_that_cannot_be_read_is_refused(
    folder: Path, content: bytes, code: str, problem: str
) -> None:
    (folder / "zoo.txt").write_bytes(content)
    found = fault(folder)
    assert found.code == code
    assert problem in found.problem


def test_a_link_out_of_the_folder_is_no_prompt_file(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("a secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret")
    (folder / ".hidden").write_text("a secret")
    assert PromptFiles(folder).names() == ("zoo.txt",)


def test_the_files_prompts_count_against_the_budget(folder: Path) -> None:
    found = fault(folder, n_iter=3)
    assert found.code == "too_expensive"
    assert "is 6" in found.problem


def test_the_record_keeps_the_prompts_whatever_becomes_of_the_file(folder: Path) -> None:
    files = PromptFiles(folder)
    request = parse_request("txt2img", {"from-file": "zoo.txt"}, prompt_files=files)
    job = NewJob(
        job_id=new_job_id(), request=request, model="tiny", prompts=("a red cat", "a (blue) duck")
    )
    (folder / "zoo.txt").unlink()
    assert prompts_of(job.stored_request) == ("a red cat", "a (blue) duck")


def test_without_a_file_the_request_has_one_prompt() -> None:
    request = parse_request("txt2img", {"prompt": "a cat"})
    assert prompts_of(request.stored()) == ("a cat",)


def test_the_prompts_are_read_in_the_grammar_of_the_request(folder: Path) -> None:
    (folder / "edited.txt").write_text("a cat\na [red|blue] duck AND a pond\n")
    _, native = PromptFiles(folder).read("edited.txt")
    _, composed = PromptFiles(folder).read("edited.txt", "a1111")
    assert (len(native.composed), len(composed.composed)) == (0, 2)


def test_a_prompt_that_is_edited_at_too_many_steps_is_a_fault_of_its_file(folder: Path) -> None:
    (folder / "zoo.txt").write_text("[a|b]" + "c" * 1000)
    assert fault(folder, prompt_grammar="a1111", ddim_steps=1000).code == "bad_prompt"
