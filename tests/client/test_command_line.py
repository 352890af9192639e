"""The command line, against a real service."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from sd_client import Client, State
from tests.client.running import environment, sd, sd_process, started
from tests.client.scripted import Scripted, as_json
from tests.worker.small import INSATIABLE

pytestmark = pytest.mark.service

QUICK = ("--size", "64x64", "--steps", "2")


def test_a_picture_is_saved_under_the_name_of_o(small_service: str, tmp_path: Path) -> None:
    arguments = ("generate", "a red dragon", *QUICK, "-o", "out.png")
    ended = sd_process(small_service, *arguments, cwd=tmp_path)

    assert (ended.returncode, ended.stdout) == (0, "out.png\n"), ended.stderr
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.size == (64, 64)
    assert "\x1b" not in ended.stdout + ended.stderr


def test_with_json_stdout_is_json_only(small_service: str, tmp_path: Path) -> None:
    arguments = (
        "a cat",
        *QUICK,
        "-n",
        "2",
        "--seed",
        "7",
        "--format",
        "jpg",
        "-o",
        "cat",
        "--json",
    )

    ended = sd(small_service, "generate", *arguments, cwd=tmp_path)

    answer = json.loads(ended.stdout)
    assert answer["State"] == "SUCCESS"
    assert answer["seeds"] == [7, 8]
    assert answer["files"] == ["cat-0.jpg", "cat-1.jpg"]
    assert answer["metadata"]["request"]["ddim_steps"] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == answer["files"]


def test_the_extension_sets_the_format(small_service: str, tmp_path: Path) -> None:
    assert (
        sd(small_service, "generate", "a cat", *QUICK, "-o", "a.webp", cwd=tmp_path).returncode == 0
    )
    with Image.open(tmp_path / "a.webp") as picture:
        assert picture.format == "WEBP"

    refused = sd(small_service, "generate", "a cat", *QUICK, "-o", "a.avif", cwd=tmp_path)
    assert refused.returncode == 2
    assert "pictures are one of .png, .jpg, .webp, .jpeg" in refused.stderr


def test_without_o_no_file_is_replaced(small_service: str, tmp_path: Path) -> None:
    for _ in range(3):
        sd(small_service, "generate", "A red, red dragon!", *QUICK, "--seed", "7", cwd=tmp_path)

    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a-red-red-dragon-7.png",
        "a-red-red-dragon-7_2.png",
        "a-red-red-dragon-7_3.png",
    ]


def test_a_picture_can_go_through_a_pipe(small_service: str, tmp_path: Path) -> None:
    script = (
        '"$0" -m sd_client generate "a cat" --size 64x64 --steps 1 -o - | head -c 4 | tail -c 3'
    )
    piped = subprocess.run(
        ["bash", "-o", "pipefail", "-c", script, sys.executable],
        env=environment(small_service),
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )

    assert piped.stdout == b"PNG", piped.stderr


def test_img2img_starts_from_an_image(small_service: str, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "green").save(tmp_path / "first.png")
    arguments = ("a blue dragon", "first.png", *QUICK, "--strength", "0.5", "-n", "1", "--json")

    ended = sd(small_service, "img2img", *arguments, "-o", "blue.png", cwd=tmp_path)

    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["metadata"]["request"]["denoising_strength"] == 0.5
    assert (tmp_path / "blue.png").exists()


def test_img2img_takes_a_mask(small_service: str, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "green").save(tmp_path / "first.png")
    Image.new("L", (64, 64)).save(tmp_path / "black.png")
    arguments = ("a blue dragon", "first.png", "--mask", "black.png", *QUICK, "-n", "1")
    ended = sd(small_service, "img2img", *arguments, "-o", "same.png", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "mask: it is black everywhere" in ended.stderr
    assert Image.open(tmp_path / "same.png").getcolors() == [(64 * 64, (0, 128, 0))]


def test_the_error_of_a_bad_request_names_the_fields(small_service: str, tmp_path: Path) -> None:
    ended = sd(small_service, "generate", "x", "--steps", "0", "--scale", "999", cwd=tmp_path)
    assert ended.returncode == 2
    assert "ddim_steps: an integer from 1 up to 1000\n" in ended.stderr
    assert "scale: a number from -100 up to 100\n" in ended.stderr
    assert ended.stdout == ""

    ended = sd(small_service, "generate", "x", "--sampler", "k_oiler", "--json", cwd=tmp_path)
    assert ended.returncode == 2
    assert [fault["field"] for fault in json.loads(ended.stdout)["details"]] == ["sampler"]
    assert "sampler: did you mean k_euler?" in ended.stderr


def test_any_parameter_can_be_set_by_its_name(small_service: str, tmp_path: Path) -> None:
    assigned = ("turbo=false", "outdir=cats", "steps=4", "seed=null")
    assignments = [word for each in assigned for word in ("--set", each)]
    ended = sd(small_service, "generate", "x", *assignments, "--json", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    request = json.loads(ended.stdout)["metadata"]["request"]
    assert (request["turbo"], request["outdir"], request["ddim_steps"]) == (False, "cats", 4)

    ended = sd(small_service, "generate", "x", "--set", "clip_skop=2", cwd=tmp_path)
    assert ended.returncode == 2
    assert "clip_skop" in ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("generate",),
        ("generate", "x", "--steps", "many"),
        ("generate", "x", "--seed", "x"),
        ("generate", "x", "--size", "large"),
        ("generate", "x", "-o", "no/such/folder/x.png"),
        ("generate", "x", "-o", "-", "--json"),
        ("generate", "x", "-o", "x.png", "--format", "jpg"),
        ("generate", "x", "--set", "turbo"),
        ("generate", "x", "--set", "=1"),
        ("generate", "x", "--set", "outdir=a", "--set", "outdir=b"),
        ("generate", "x", "--steps", "4", "--set", "steps=5"),
        ("generate", "x", "--steps", "4", "--set", "ddim_steps=5"),
        ("generate", "x", "--set", "prompt=y"),
        ("generate", "x", "--set", "api_key=y"),
        ("img2img", "x", "nowhere.png"),
        ("status", "nobody"),
        ("status", "no id"),
        ("paint", "x"),
    ],
)
def test_wrong_usage_ends_with_2(
    small_service: str, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    ended = sd(small_service, *arguments, cwd=tmp_path)
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stderr


def test_wrong_usage_ends_the_process_with_2(small_service: str, tmp_path: Path) -> None:
    ended = sd_process(small_service, "generate", "x", "--size", "large", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, ""), ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stderr


def test_a_failed_job_ends_with_3(small_service: str, tmp_path: Path) -> None:
    ended = sd(small_service, "generate", INSATIABLE, *QUICK, "--json", cwd=tmp_path)

    answer = json.loads(ended.stdout)
    assert ended.returncode == 3
    assert answer["code"] == "out_of_memory"
    assert sd(small_service, "status", answer["task_id"], cwd=tmp_path).returncode == 3


def test_a_cancelled_job_ends_with_4(small_service: str, tmp_path: Path) -> None:
    submitted = sd(
        small_service, "generate", "x", "--size", "64x64", "--steps", "900", "-d", cwd=tmp_path
    )
    job_id = submitted.stdout.strip()
    watched = started(small_service, "status", job_id, "--wait", cwd=tmp_path)

    cancelled = sd(small_service, "cancel", job_id, "--json", cwd=tmp_path)

    assert json.loads(cancelled.stdout)[job_id] in ("cancelled", "stopping")
    assert watched.wait(120) == 4
    watched.communicate()


def test_an_unavailable_service_ends_with_5(scripted: Scripted, tmp_path: Path) -> None:
    scripted.answers = lambda _: as_json({"error": "full", "details": []}, 503, Retry_After="999")
    ended = sd(scripted.url, "models", "--json", cwd=tmp_path)
    assert (ended.returncode, json.loads(ended.stdout)) == (5, {"error": "full"})

    ended = sd("http://127.0.0.1:1", "models", cwd=tmp_path)
    assert ended.returncode == 5
    assert "SD_ADDRESS" in ended.stderr


def test_a_wrong_key_ends_with_6_and_is_not_printed(small_service: str, tmp_path: Path) -> None:
    ended = sd(small_service, "generate", "x", *QUICK, cwd=tmp_path, SD_API_KEY="wrong-key")

    assert ended.returncode == 6
    assert "wrong-key" not in ended.stderr


def test_ctrl_c_cancels_the_job(small_service: str, client: Client, tmp_path: Path) -> None:
    arguments = ("x", "--size", "64x64", "--steps", "900", "--json")
    running = started(small_service, "generate", *arguments, cwd=tmp_path)
    assert running.stderr
    assert running.stderr.readline()  # the job waits, or runs

    running.send_signal(signal.SIGINT)
    stdout, stderr = running.communicate(timeout=120)

    assert running.returncode == 130, stderr
    with pytest.raises(Exception, match="cancelled"):
        client.job(json.loads(stdout)["task_id"]).wait()
    assert client.status(json.loads(stdout)["task_id"]).state is State.CANCELLED


def test_ctrl_c_does_not_cancel_a_job_that_status_waits_for(
    small_service: str, client: Client, tmp_path: Path
) -> None:
    job = client.submit_generate("x", size="64x64", steps=900)
    running = started(small_service, "status", job.id, "--wait", cwd=tmp_path)
    assert running.stderr
    assert running.stderr.readline()

    running.send_signal(signal.SIGINT)
    running.communicate(timeout=120)

    assert running.returncode == 130
    assert not job.status().state.final
    job.cancel()


def test_a_detached_job_is_fetched_later(small_service: str, tmp_path: Path) -> None:
    submitted = sd(small_service, "generate", "a cat", *QUICK, "--detach", "--json", cwd=tmp_path)
    job_id = json.loads(submitted.stdout)["task_id"]

    fetched = sd(small_service, "status", job_id, "--wait", "-o", "late.png", cwd=tmp_path)

    assert (fetched.returncode, fetched.stdout) == (0, "late.png\n"), fetched.stderr
    assert "64x64 png" in sd(small_service, "status", job_id, cwd=tmp_path).stdout


def test_the_latest_jobs_and_the_models_are_listed(small_service: str, tmp_path: Path) -> None:
    sd(small_service, "generate", "a very [special] prompt", *QUICK, cwd=tmp_path)

    recent = sd(small_service, "recent", cwd=tmp_path)
    assert "a very [special] prompt" in recent.stdout
    latest = json.loads(sd(small_service, "recent", "--json", cwd=tmp_path).stdout)[0]
    assert latest["metadata"]["request"]["prompt"] == "a very [special] prompt"

    assert "small" in sd(small_service, "models", cwd=tmp_path).stdout
    models = json.loads(sd(small_service, "models", "--json", cwd=tmp_path).stdout)
    assert models["default_model"] == "small"


def test_a_benchmark_measures_throughput_and_phases(small_service: str, tmp_path: Path) -> None:
    arguments = ("-N", "4", "-C", "2", "--count", "2", *QUICK)

    answer = json.loads(sd(small_service, "bench", *arguments, "--json", cwd=tmp_path).stdout)

    assert (answer["jobs"], answer["failed"], answer["pictures"]) == (4, 0, 8)
    assert answer["pictures_per_second"] == pytest.approx(8 / answer["seconds"], rel=0.01)
    assert {"queued", "load", "sample", "save"} <= set(answer["phases"])
    assert 0.4 <= answer["phases"]["sample"]["p50"] <= answer["job"]["p50"] <= answer["job"]["p95"]

    table = sd(small_service, "bench", *arguments, cwd=tmp_path)
    assert "8 pictures of 4 jobs" in table.stdout


def test_a_benchmark_with_failed_jobs_ends_with_3(small_service: str, tmp_path: Path) -> None:
    arguments = ("-N", "2", "--no-warm-up", "--prompt", INSATIABLE, "--json")

    ended = sd(small_service, "bench", *arguments, cwd=tmp_path)

    assert ended.returncode == 3
    assert json.loads(ended.stdout)["failed"] == 2


@pytest.mark.parametrize(
    ("typed", "completion"),
    [("--sampler k_eu", "k_euler_a"), ("--model sm", "small"), ("--set unet", "unet_bs=")],
)
def test_shell_completion_has_the_names_of_the_service(
    small_service: str, tmp_path: Path, typed: str, completion: str
) -> None:
    shell = {
        "_SD_COMPLETE": "complete_bash",
        "COMP_WORDS": f"sd generate x {typed}",
        "COMP_CWORD": "4",
    }

    assert completion in sd(small_service, cwd=tmp_path, **shell).stdout.split()
    # no completions and no error without a service
    silent = sd("http://127.0.0.1:1", cwd=tmp_path, **shell)
    assert (silent.stdout.strip(), silent.stderr) == ("", "")
