"""Images on S3: a worker process writes them and the API serves them, without a shared disk."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from api import create_app
from api.auth import DUMMY_KEY
from api.settings import ApiSettings
from tests.s3 import S3
from tests.worker.conftest import Bench, png, until
from tests.worker.processes import worker

pytestmark = pytest.mark.service


def test_the_api_serves_a_workers_images_from_s3_and_nothing_else_remains_there(
    bench: Bench, redis_url: str, s3: S3
) -> None:
    app = create_app(
        ApiSettings(
            celery_broker_url=redis_url,
            celery_result_backend=redis_url,
            data_dir=bench.outputs.parent,
            outputs=s3.url,
            default_model="small",
        )
    )
    body = {
        "type": "standard",
        "prompt": "a cat",
        "H": 64,
        "W": 64,
        "n_iter": 2,
        "ddim_steps": 3,
        "init_img": png(Image.new("RGB", (64, 64), "green")),
    }
    with app.test_client() as client, worker(bench, redis_url, OUTPUTS=s3.url, **s3.environment):
        accepted = client.post("/img2img", json=body, headers={"X-API-Key": DUMMY_KEY})
        job = accepted.get_json()["task_id"]
        assert s3.names()
        bench.ended(job)
        pictures = [client.get(f"/images/{job}/{number}") for number in range(2)]
        assert client.get("/readyz").status_code == 200
        # the init image is deleted soon after the end is recorded
        names = [f"outputs/txt2img-samples/{job}_{number}.png" for number in range(2)]
        until(lambda: s3.names() == names)

    for picture in pictures:
        with Image.open(io.BytesIO(picture.data)) as image:
            assert image.size == (64, 64)
    assert not bench.outputs.exists()


def test_the_s3_client_reads_its_variables_from_dotenv(s3: S3, tmp_path: Path) -> None:
    lines = [f"{name}={value}\n" for name, value in s3.environment.items()]
    (tmp_path / ".env").write_text("".join([*lines, f"OUTPUTS={s3.url}\n"]))
    script = (
        "from jobs.environment import read_settings\n"
        "from jobs.settings import JobSettings\n"
        "from jobs.pictures.store import PictureStore\n"
        "PictureStore(read_settings(JobSettings).outputs).put('a.png', b'picture')\n"
    )
    repository = str(Path(__file__).parents[2])
    subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env={"PYTHONPATH": repository}, check=True
    )
    assert s3.names() == ["a.png"]


def test_a_folder_as_store_imports_nothing_of_s3(tmp_path: Path) -> None:
    script = (
        "import sys; from jobs.pictures.store import PictureStore; "
        "PictureStore(sys.argv[1]).probe(); "
        "print([name for name in ('s3fs', 'botocore', 'aiohttp') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"
