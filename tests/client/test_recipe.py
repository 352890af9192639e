"""Reading the recipe of a picture with the client and with `sd info`, against a real service."""

import json
from pathlib import Path

import pytest
from PIL import Image

from sd_client import BadRequest, Client
from tests.client.running import sd

pytestmark = pytest.mark.service


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    path = tmp_path / "plain.png"
    Image.new("RGB", (20, 30), "green").save(path)
    return path


def test_a_recipe_is_read_and_makes_the_same_picture(client: Client) -> None:
    (picture,) = client.generate("a cat", size="64x64", steps=1, seed=7, negative_prompt="dog")
    recipe = client.read_recipe(picture.data)

    assert (recipe.source, recipe.kind, recipe.size) == ("service", "txt2img", (64, 64))
    assert recipe.text.startswith("a cat\nNegative prompt: dog\n")
    request = dict(recipe.request)
    assert client.generate(request.pop("prompt"), **request)[0].data == picture.data


def test_a_picture_without_a_recipe(client: Client, plain: Path, tmp_path: Path) -> None:
    recipe = client.read_recipe(plain)
    assert (recipe.source, recipe.request, recipe.not_read) == ("unknown", {}, ())
    with pytest.raises(BadRequest, match="image"):
        client.read_recipe(b"no picture")

    done = sd(client.address, "info", plain, cwd=tmp_path)
    assert (done.returncode, done.stdout.strip()) == (0, "no recipe")


def test_sd_info_shows_the_recipe(small_service: str, client: Client, tmp_path: Path) -> None:
    path = tmp_path / "cat.png"
    client.generate("a [cat]", size="64x64", steps=1, seed=7)[0].save(path)
    done = sd(small_service, "info", path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "txt2img of service, 64x64"
    assert {"prompt: a [cat]", "seed: 7", "ddim_steps: 1", "W: 64"} <= set(lines)

    done = sd(small_service, "info", path, "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["request"]["seed"] == 7
