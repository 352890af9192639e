"""The whole service, with the shipped model: the reference README's own examples."""

import base64
import io
import json
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from api.auth import DUMMY_KEY
from jobs.prompts.lora_tags import with_loras
from tests.processes import eventually

pytestmark = pytest.mark.service

TEMPLATES = Path(__file__).parents[2] / "templates"
KEY = {"X-API-Key": DUMMY_KEY}
SMALL = {"prompt": "a red cat", "H": 128, "W": 128, "ddim_steps": 8}


@pytest.fixture(scope="module")
def client(service: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service, timeout=240, headers=KEY, trust_env=False) as client:
        yield client


def followed(client: httpx.Client, location: str) -> list[dict[str, Any]]:
    """Every status of a job until its end."""
    seen: list[dict[str, Any]] = []
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        seen.append(client.get(location, params={"images": "false"}).raise_for_status().json())
        if seen[-1]["State"] in ("SUCCESS", "FAILURE", "CANCELLED"):
            return seen
        time.sleep(0.05)
    raise AssertionError(f"the job did not end: {seen[-1]}")


@pytest.mark.parametrize(
    ("template", "path", "images", "evaluations"),
    [("txt2img-optimized", "/generate", 1, 20), ("img2img-optimized", "/img2img", 2, 2 * 26)],
)
def test_the_examples_of_the_readme_succeed_as_printed_on_a_machine_without_cuda(
    client: httpx.Client, template: str, path: str, images: int, evaluations: int
) -> None:
    body = (TEMPLATES / f"{template}.json").read_bytes()

    accepted = client.post(path, content=body, headers={"Content-Type": "application/json"})
    seen = followed(client, accepted.headers["Location"])

    assert seen[-1]["State"] == "SUCCESS", seen[-1]
    progress = [status["Progress"] for status in seen]
    assert progress == sorted(progress)
    assert progress[-1] == 1
    assert len(set(progress)) > 5
    assert {status["steps"] for status in seen if "steps" in status} == {evaluations}
    assert any("cuda" in warning for warning in seen[-1]["Warnings"])
    assert seen[-1]["Size"] == [512, 512]
    assert len(seen[-1]["Images"]) == images
    assert seen[-1]["seeds"] == [42, 43][:images]
    for link in seen[-1]["Images"]:
        picture = Image.open(io.BytesIO(client.get(link).content))
        assert (picture.size, picture.format) == ((512, 512), "PNG")


def test_the_same_request_gives_the_same_bytes(client: httpx.Client) -> None:
    body = {**SMALL, "synchronous_request": True}

    assert (
        client.post("/generate", json=body).content == client.post("/generate", json=body).content
    )


def test_a_random_seed_is_reported_and_can_be_used_again(client: httpx.Client) -> None:
    body = {**SMALL, "synchronous_request": True, "return_base64": True}

    first = client.post("/generate", json={**body, "seed": None}).json()
    again = client.post("/generate", json={**body, "seed": first["seeds"][0]}).json()

    assert again["Image"] == first["Image"]


def test_jpg_is_jpg(client: httpx.Client) -> None:
    body = {**SMALL, "synchronous_request": True, "return_base64": True, "format": "jpg"}

    answer = client.post("/generate", json=body).json()

    assert answer["Format"] == "jpg"
    assert Image.open(io.BytesIO(base64.b64decode(answer["Image"][0]))).format == "JPEG"


def test_many_waiting_clients_do_not_hold_up_a_status(client: httpx.Client) -> None:
    slots = sum(worker["slots"] for worker in client.get("/workers").json()["workers"])
    long = {**SMALL, "ddim_steps": 1000}
    ahead = [client.post("/generate", json=long).headers["Location"] for _ in range(slots)]
    body = {**SMALL, "ddim_steps": 2, "H": 64, "W": 64, "synchronous_request": True}

    def all_wait() -> bool:
        return len(client.get("/recent?facts=true").json()["Under_way"]) >= slots + 32

    with ThreadPoolExecutor(32) as clients:
        waiting = [clients.submit(client.post, "/generate", json=body) for _ in range(32)]
        try:
            assert eventually(all_wait)
            for _ in range(33):
                assert client.get(ahead[0], params={"images": "false"}).status_code == 200
            assert not any(answer.done() for answer in waiting)
        finally:
            for location in ahead:
                client.delete(location)

    assert {answer.result().headers["Content-Type"] for answer in waiting} == {"image/png"}


def test_a_chunked_body_over_the_limit_is_refused(service: str) -> None:
    answer = httpx.post(
        f"{service}/generate",
        content=(b" " * 2**16 for _ in range(17 * 16)),
        headers={"Content-Type": "application/json", **KEY},
        timeout=240,
        trust_env=False,
    )

    assert answer.status_code == 413


def test_curl_sends_a_large_body_and_hears_why_it_was_refused(service: str, tmp_path: Path) -> None:
    (tmp_path / "large.json").write_text(json.dumps({"prompt": "a" * 17 * 2**20}))

    curl = ["curl", "-sS", "-H", "Content-Type: application/json", "-w", "%{http_code}"]

    said = subprocess.run(
        [*curl, "-d", f"@{tmp_path / 'large.json'}", f"{service}/generate"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert said.endswith("413")
    assert "larger than 16 MiB" in said


def test_a_preset_makes_the_picture_of_the_values_that_it_says(client: httpx.Client) -> None:
    models = client.get("/models").raise_for_status().json()["models"]
    presets = next(model["presets"] for model in models if model["name"] == "tiny")
    assert presets["quality"] == {"ddim_steps": 40}
    body = {"prompt": "a red cat", "H": 64, "W": 64, "seed": 7, "synchronous_request": True}
    for preset, wanted in presets.items():
        prompt = with_loras(body["prompt"], wanted.pop("loras", ()))
        pictures = [
            client.post("/generate", json={**body, **own}).raise_for_status()
            for own in ({"preset": preset}, {**wanted, "prompt": prompt})
        ]
        opened = [Image.open(io.BytesIO(picture.content)) for picture in pictures]
        assert opened[0].tobytes() == opened[1].tobytes()
        assert opened[0].info["parameters"] == opened[1].info["parameters"]
        status = followed(client, pictures[0].headers["Location"])[-1]
        request = status["metadata"]["request"]
        assert (request["preset"], request["ddim_steps"]) == (preset, wanted["ddim_steps"])
