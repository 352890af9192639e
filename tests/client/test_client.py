"""The Python client, against a real service."""

import io
from pathlib import Path

import pytest
from PIL import Image

from sd_client import (
    BadArgument,
    BadRequest,
    Client,
    Conflict,
    Event,
    JobCancelled,
    JobFailed,
    NoSuchJob,
    State,
    Status,
    Unauthorized,
)
from stable_diffusion.tiny import PATHS
from tests.client.scripted import Answer, Received, Scripted, forward
from tests.worker.small import INSATIABLE

pytestmark = pytest.mark.service


def test_pictures_come_back_with_their_seeds(client: Client, tmp_path: Path) -> None:
    pictures = client.generate(
        "a red dragon", size=(64, 128), steps=3, count=2, seed=7, skip_grid=False
    )

    assert [(picture.index, picture.seed) for picture in pictures] == [(0, 7), (1, 8), (None, None)]
    with Image.open(pictures[1].save(tmp_path / "one.png")) as picture:
        assert (picture.size, picture.format) == ((64, 128), "PNG")


def test_several_pictures_are_saved_under_one_name(client: Client, tmp_path: Path) -> None:
    job = client.submit_generate("a cat", size="64x64", steps=1, n_samples=2, format="jpg")
    job.wait()

    saved = job.save(tmp_path / "cat")

    assert [path.name for path in saved] == ["cat-0.jpg", "cat-1.jpg"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cat-0.jpg", "cat-1.jpg"]
    with Image.open(saved[0]) as picture:
        assert picture.format == "JPEG"


def test_on_event_gets_the_progress(client: Client) -> None:
    events: list[Event] = []

    client.generate("a red dragon", on_event=events.append, size="64x64", steps=10)

    statuses = [event for event in events if isinstance(event, Status)]
    fractions = [status.progress.fraction for status in statuses]
    assert fractions == sorted(fractions)
    assert len(set(fractions)) > 3
    assert any((status.progress.steps or 0) == 10 for status in statuses)
    assert statuses[-1].state is State.SUCCESS
    assert statuses[-1].timings["sample"] > 0


def test_an_initial_image_is_a_path_bytes_or_a_file(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "first.png"
    Image.new("RGB", (64, 64), "green").save(path)

    results = [
        client.img2img("a blue dragon", image, size="64x64", steps=2, count=1, strength=1)
        for image in (path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes()))
    ]

    assert {pictures[0].data for pictures in results} == {results[0][0].data}
    with pytest.raises(BadArgument, match=r"nowhere\.png cannot be read: No such file"):
        client.img2img("a blue dragon", tmp_path / "nowhere.png")


def test_a_mask_is_a_path_bytes_or_a_file(client: Client, tmp_path: Path) -> None:
    image, mask = tmp_path / "first.png", tmp_path / "mask.png"
    Image.new("RGB", (64, 64), "green").save(image)
    half = Image.new("L", (64, 64))
    half.paste(255, (32, 0, 64, 64))
    half.save(mask)
    results = [
        client.img2img("a blue dragon", image, size="64x64", steps=2, count=1, mask=each)
        for each in (mask, mask.read_bytes(), io.BytesIO(mask.read_bytes()))
    ]
    assert {pictures[0].data for pictures in results} == {results[0][0].data}
    made = Image.open(io.BytesIO(results[0][0].data))
    assert made.getpixel((10, 10)) == (0, 128, 0)
    assert made.getpixel((50, 10)) != (0, 128, 0)
    with pytest.raises(BadArgument, match=r"nowhere\.png cannot be read: No such file"):
        client.img2img("a blue dragon", image, mask=tmp_path / "nowhere.png")


def test_a_cancelled_job_raises_job_cancelled(client: Client) -> None:
    job = client.submit_generate("a red dragon", size="64x64", steps=900)

    assert job.cancel() in ("cancelled", "stopping")
    with pytest.raises(JobCancelled):
        job.wait()
    assert job.cancel() == "cancelled"
    with pytest.raises(JobCancelled):
        job.pictures()


def test_a_finished_job_is_not_cancelled(client: Client) -> None:
    job = client.submit_generate("a red dragon", size="64x64", steps=1)
    job.wait()

    with pytest.raises(Conflict, match="ended"):
        client.cancel(job.id)


def test_a_failed_job_has_a_reason_and_a_code(client: Client) -> None:
    with pytest.raises(JobFailed, match="memory") as failed:
        client.generate(INSATIABLE, size="64x64")

    assert failed.value.code == "out_of_memory"
    assert client.status(failed.value.job_id).state is State.FAILURE


def test_a_bad_request_names_every_field(client: Client) -> None:
    with pytest.raises(BadRequest, match="ddim_steps") as refused:
        client.generate("a cat", steps=0, sampler="k_oiler")

    faults = {fault.field: fault for fault in refused.value.details}
    assert set(faults) == {"ddim_steps", "sampler"}
    assert faults["ddim_steps"].value == 0
    assert "from 1" in faults["ddim_steps"].expected


def test_the_error_of_a_wrong_key_says_what_to_do(small_service: str) -> None:
    with (
        Client(small_service, api_key="ключ") as client,
        pytest.raises(Unauthorized, match=r"this key.*SD_API_KEY") as refused,
    ):
        client.generate("a cat")

    assert "ключ" not in str(refused.value)


def test_an_unknown_job_raises_no_such_job(client: Client) -> None:
    with pytest.raises(NoSuchJob):
        client.status("nobody")
    with pytest.raises(BadArgument, match="id of a job"):
        client.status("../recent")


def test_a_submit_whose_answer_was_lost_makes_one_job(
    small_service: str, scripted: Scripted, client: Client
) -> None:
    answers: list[Answer] = []

    def lossy(request: Received) -> Answer:
        answer = forward(request, small_service)
        if request.path == "/generate":
            answers.append(answer)
            return Answer(cut=True) if len(answers) == 1 else answer
        return answer

    scripted.answers = lossy
    with Client(scripted.url, api_key="") as through:
        job = through.submit_generate("a red dragon", size="64x64", steps=1)

    assert len(answers) == 2
    assert answers[0].body == answers[1].body
    assert job.id.encode() in answers[0].body
    assert client.job(job.id).wait().state is State.SUCCESS


def test_the_latest_jobs_and_the_models_are_listed(client: Client) -> None:
    job = client.submit_generate("a red dragon", size="64x64", steps=1)
    job.wait()

    assert client.recent()[0].id == job.id
    assert {model.name for model in client.models().models} == {
        "small",
        *(path.stem for path in PATHS),
    }
    capabilities = client.capabilities()
    assert capabilities.default_model == "small"
    assert "ddim" in [sampler.key for sampler in capabilities.samplers]
    assert capabilities.limits["max_side"] == 512
    assert capabilities.defaults["standard"]["img2img"]["ddim_steps"] == 50


def test_address_and_key_default_to_the_environment(
    small_service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SD_ADDRESS", small_service)
    monkeypatch.setenv("SD_API_KEY", "not a key of this service")

    with Client() as client, pytest.raises(Unauthorized, match="this key"):
        client.recent()
    with pytest.raises(BadArgument, match="invalid"):
        Client("ftp://somewhere")
