"""Enlarging a picture with the client and with `sd upscale`, against a real service."""

import io
from pathlib import Path

import pytest
from PIL import Image

from sd_client import BadRequest, Client
from tests.client.running import sd

pytestmark = pytest.mark.service


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.png"
    Image.new("RGB", (20, 30), "green").save(path)
    return path


def test_the_client_enlarges_a_picture(client: Client, small: Path) -> None:
    picture = client.upscale(small)
    assert (picture.index, picture.seed, picture.format) == (0, None, "png")
    assert Image.open(io.BytesIO(picture.data)).size == (40, 60)

    job = client.submit_upscale(small.read_bytes(), by=3, upscaler="lanczos", format="jpg")
    assert job.wait().metadata["upscaler"] == "Lanczos"
    assert Image.open(io.BytesIO(job.pictures()[0].data)).size == (60, 90)

    with pytest.raises(BadRequest, match="output_height"):
        client.upscale(small, output_width=64)


def test_sd_upscale_writes_the_file(small_service: str, small: Path, tmp_path: Path) -> None:
    large = tmp_path / "large.jpg"
    done = sd(small_service, "upscale", small, "--by", "4", "-o", large, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with Image.open(large) as picture:
        assert (picture.size, picture.format) == ((80, 120), "JPEG")
    done = sd(small_service, "upscale", small, "-W", "64", "-H", "64", cwd=tmp_path)
    assert done.stdout.strip() == "small-large.png"
    with Image.open(tmp_path / "small-large.png") as picture:
        assert picture.size == (64, 64)
