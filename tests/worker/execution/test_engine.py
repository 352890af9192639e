"""The real engine behind the worker's `Engine` protocol, with a tiny model of random weights."""

import io
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from jobs.status import JobState
from jobs.validation.model_choice import InstalledModels
from jobs.validation.request import parse_request
from stable_diffusion.families.tiny import TINY, TINY_V2
from stable_diffusion.networks import build_networks
from stable_diffusion.prompt import grammar
from stable_diffusion.prompt.blend import parse_blend
from stable_diffusion.weights.saving import original_tensors, save_checkpoint
from tests.stable_diffusion.layouts import diffusers, random_networks
from tests.worker.conftest import Bench
from tests.worker.processes import worker
from worker.execution.diffusion_engine import StableDiffusion
from worker.execution.engine import EngineProvider
from worker.execution.execute_job import execute_job
from worker.execution.prompt_jobs import prompt_jobs_of
from worker.models.catalogue import Catalogue

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_checkpoint(build_networks(TINY), TINY, path)
    return path


@pytest.fixture
def bench(bench: Bench, weights: Path) -> Bench:
    (bench.models / "tiny.safetensors").symlink_to(weights)
    return bench


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StableDiffusion]:
    threads = torch.get_num_threads()
    yield StableDiffusion("cpu", 1, tmp_path_factory.mktemp("upscalers"))
    torch.set_num_threads(threads)


def pixels(bench: Bench, job_id: str, index: int = 0) -> bytes:
    result = bench.status(job_id).result
    assert result, bench.status(job_id).failure
    return Image.open(io.BytesIO(bench.store.read(result.images[index].name))).tobytes()


@pytest.mark.parametrize(
    ("parameters", "offloaded"),
    [
        ({"type": "standard"}, False),
        ({"type": "standard", "precision": "full"}, True),
        ({"type": "optimized"}, True),
    ],
)
def test_a_gpu_offloads_models_for_optimized_and_full_precision(
    tmp_path: Path, parameters: dict[str, str], offloaded: bool
) -> None:
    threads = torch.get_num_threads()
    request = parse_request("txt2img", {"prompt": "a cat", **parameters}).settled(
        model="tiny", seed=1
    )
    (prompt_job,) = prompt_jobs_of(request)
    for device, expected in (("cuda:0", offloaded), ("cpu", False)):
        engine = StableDiffusion(device, 1, tmp_path)
        assert engine.offloaded(engine.recipe(prompt_job, {}, lambda image: image)) is expected
    torch.set_num_threads(threads)


def test_the_workers_of_a_device_share_its_memory(engine: StableDiffusion) -> None:
    alone, shared = (EngineProvider(lambda: engine, workers=count) for count in (1, 3))
    assert 3 * shared.budget() <= alone.budget() <= engine.memory_bytes() // 2
    assert EngineProvider(lambda: engine, 10**9, workers=3).budget() == 10**9


def test_a_prompt_becomes_an_image(bench: Bench, engine: StableDiffusion) -> None:
    job_id = bench.submit(model="tiny", prompt="a ((red)) cat", ddim_steps=3, H=64, W=128)
    bench.run(engine)
    result = bench.status(job_id).result
    assert result, bench.status(job_id).failure
    assert (result.images[0].width, result.images[0].height) == (128, 64)
    assert (result.executed_steps, len(result.model_hash)) == (3, 10)
    assert "red" in str(result.prompt)


def test_an_image_is_the_same_alone_in_a_batch_and_in_iterations(
    bench: Bench, engine: StableDiffusion
) -> None:
    body = {"model": "tiny", "ddim_steps": 3, "sampler": "k_euler_a"}
    alone = bench.submit(**body, seed=12)
    batch = bench.submit(**body, seed=10, n_samples=3)
    iterations = bench.submit(**body, seed=11, n_iter=2)
    with bench.context(engine) as context:
        for _ in range(3):
            execute_job(context, "standard")
    assert pixels(bench, alone) == pixels(bench, batch, 2) == pixels(bench, iterations, 1)


def test_an_image_becomes_another(bench: Bench, engine: StableDiffusion) -> None:
    job_id = bench.submit(
        "img2img", model="tiny", ddim_steps=4, denoising_strength=0.5, n_iter=2, sampler="plms"
    )
    bench.run(engine)
    result = bench.status(job_id).result
    assert result, bench.status(job_id).failure
    assert (result.steps, result.executed_steps, len(result.images)) == (4, 2, 2)


def test_the_shipped_upscaler_works_before_and_after_sampling(
    bench: Bench, engine: StableDiffusion
) -> None:
    body = {"model": "tiny", "ddim_steps": 4, "n_iter": 1}
    plain = bench.submit("img2img", **body)
    both = bench.submit("img2img", **body, upscale=True, post_upscale=True)
    with bench.context(engine) as context:
        execute_job(context, "standard")
        execute_job(context, "standard")
    result = bench.status(both).result
    assert result, bench.status(both).failure
    assert (result.images[0].width, result.images[0].height) == (128, 128)
    small, large = (
        Image.frombytes("RGB", (side, side), pixels(bench, job_id)).resize((16, 16))
        for side, job_id in ((64, plain), (128, both))
    )
    # the same image, compared by the mean colours of 16 x 16 cells
    assert numpy.abs(numpy.asarray(small, int) - numpy.asarray(large, int)).mean() < 20


def test_a_file_that_is_no_model_fails_only_its_own_jobs(
    bench: Bench, engine: StableDiffusion
) -> None:
    (bench.models / "page.safetensors").write_text("<html>not found</html>")
    bad = bench.submit(model="page")
    good = bench.submit(model="tiny", ddim_steps=1)
    with bench.context(engine) as context:
        execute_job(context, "standard")
        execute_job(context, "standard")
    failure = bench.status(bad).failure
    assert failure
    assert failure.code == "model_unreadable"
    assert str(bench.models) not in failure.message
    assert bench.status(good).state is JobState.SUCCESS


@pytest.fixture
def additions(bench: Bench) -> tuple[StableDiffusion, Catalogue]:
    """An engine with a LoRA and an embedding, and one embedding of SD 2's width."""
    loras, embeddings = bench.models.parent / "loras", bench.models.parent / "embeddings"
    loras.mkdir()
    embeddings.mkdir()
    layer = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
    torch.manual_seed(5)
    halves = {"lora_up": torch.randn(64, 4), "lora_down": torch.randn(4, 48)}
    save_file({f"{layer}.{n}.weight": t for n, t in halves.items()}, loras / "ink.safetensors")
    (embeddings / "words").mkdir()
    save_file({"emb_params": torch.randn(2, 48)}, embeddings / "words" / "shiny.safetensors")
    save_file({"emb_params": torch.randn(2, 1024)}, embeddings / "wide.safetensors")
    xl = {"clip_l": torch.randn(2, 768), "clip_g": torch.randn(2, 1280)}
    save_file(xl, embeddings / "huge.safetensors")
    (embeddings / "broken.pt").write_bytes(b"<html>")
    (loras / "style").mkdir()
    bundled = {
        "bundle_emb.charm.string_to_param.*": torch.randn(2, 48),
        "logit_scale": torch.ones(1),
    }
    save_file(
        {f"{layer}.{n}.weight": t for n, t in halves.items()} | bundled,
        loras / "style" / "oil-v2.safetensors",
        {"ss_output_name": "painted"},
    )
    catalogue = Catalogue(bench.models, "tiny", loras_dir=loras, embeddings_dir=embeddings)
    upscalers = bench.models / "upscalers"
    return StableDiffusion("cpu", 1, upscalers, catalogue=catalogue), catalogue


def test_jobs_with_and_without_loras_and_embeddings_share_a_model(
    bench: Bench, additions: tuple[StableDiffusion, Catalogue]
) -> None:
    engine, catalogue = additions
    body = {"model": "tiny", "ddim_steps": 2, "seed": 4, "sampler": "k_euler_a"}
    prompts = ("a cat", "a cat <lora:ink:0.8>", "a <shiny> cat", "a shiny cat <lora:ink:0.8>")
    alone = [bench.submit(**body, prompt=prompt) for prompt in prompts]
    together = [bench.submit(**body, prompt=prompt) for prompt in prompts * 2]
    with bench.context(engine, catalogue) as context:
        for _ in alone:
            execute_job(context, "standard")
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: execute_job(context, "standard"), together))
    images = [pixels(bench, job) for job in alone]
    assert len(set(images)) == len(prompts)
    assert [pixels(bench, job) for job in together] == images * 2


def test_every_prompt_of_a_file_has_its_own_lora(
    bench: Bench, additions: tuple[StableDiffusion, Catalogue]
) -> None:
    engine, catalogue = additions
    single = bench.submit(model="tiny", ddim_steps=2, prompt="a cat <lora:ink:1>", seed=8)
    prompts = ("a cat", "a cat <lora:ink:1>")
    several = bench.submit(model="tiny", ddim_steps=2, prompts=prompts, seed=7)
    with bench.context(engine, catalogue) as context:
        execute_job(context, "standard")
        execute_job(context, "standard")
    assert pixels(bench, several, 1) == pixels(bench, single)


def test_parts_are_the_jobs_that_they_stand_for(bench: Bench, engine: StableDiffusion) -> None:
    body: dict[str, Any] = {"model": "tiny", "ddim_steps": 2, "seed": 7}
    alone = bench.submit(**{**body, "model": "tiny-v2"}, scale=3)
    compared = bench.submit(**body, vary={"ckpt": ["tiny", "tiny-v2"], "scale": [7.5, 3]})
    second = bench.submit(**{**body, "seed": 8, "prompt": "a blue dog"})
    drawn = bench.submit(
        **body, prompt="{a|b}", wildcards=True, prompts=("a cat", "a blue dog"), n_samples=2
    )
    bench.run(engine, jobs=4)
    assert pixels(bench, alone) == pixels(bench, compared, 3)
    assert pixels(bench, second) == pixels(bench, drawn, 1)
    result = bench.status(compared).result
    assert result, bench.status(compared).failure
    assert len({pixels(bench, compared, number) for number in range(4)}) == 4


def test_second_passes_are_compared(bench: Bench, engine: StableDiffusion) -> None:
    body: dict[str, Any] = {"model": "tiny", "ddim_steps": 2, "seed": 7}
    vary = {"hires_scale": [None, 1.5, 2], "hires_upscaler": ["lanczos", "latent", "nearest"]}
    compared = bench.submit(**body, vary=vary)
    alone = [
        bench.submit(**body, hires_scale=scale, hires_upscaler=upscaler)
        for upscaler in vary["hires_upscaler"]
        for scale in vary["hires_scale"]
    ]
    bench.run(engine, jobs=10)
    result = bench.status(compared).result
    assert result, bench.status(compared).failure
    assert [pixels(bench, compared, number) for number in range(9)] == [
        pixels(bench, job) for job in alone
    ]
    assert [image.width for image in result.images] == [64, 96, 128] * 3


def test_each_prompt_of_a_job_is_parsed_once(
    bench: Bench,
    additions: tuple[StableDiffusion, Catalogue],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine, catalogue = additions
    parsed: list[str] = []

    def counted(text: str) -> object:
        parsed.append(text)
        return parse_blend(text)

    prompts = ("a cat <lora:ink:1>", "a <shiny> cat")
    job_id = bench.submit(model="tiny", ddim_steps=1, prompts=prompts, negative_prompt="blurry")
    monkeypatch.setattr(grammar, "parse_blend", counted)
    with bench.context(engine, catalogue) as context:
        execute_job(context, "standard")
    assert bench.status(job_id).state is JobState.SUCCESS
    assert sorted(parsed) == sorted(["blurry", "a cat             ", "a <shiny> cat"])


def test_additions_that_do_not_fit_are_warnings_and_missing_ones_failures(
    bench: Bench, additions: tuple[StableDiffusion, Catalogue]
) -> None:
    engine, catalogue = additions
    config = "scripts/v2-inference.yaml"
    wide = bench.submit(model="tiny", ddim_steps=1, prompt="a wide cat", config=config)
    lora = bench.submit(model="tiny", ddim_steps=1, prompt="<lora:oil:1>")
    token = bench.submit(model="tiny", ddim_steps=1, prompt="a <dull> cat")
    with bench.context(engine, catalogue) as context:
        for _ in range(3):
            execute_job(context, "standard")
    assert [warning.partition(":")[0] for warning in bench.status(wide).warnings] == [
        "config",
        "embedding wide",
    ]
    failures = [bench.status(job).failure for job in (lora, token)]
    assert [failure and failure.code for failure in failures] == [
        "unknown_lora",
        "unknown_embedding",
    ]


def test_config_sets_the_prediction_type_of_an_unknown_model(
    bench: Bench, engine: StableDiffusion
) -> None:
    tensors = original_tensors(random_networks(TINY_V2), TINY_V2, torch.float32)
    save_file(tensors, bench.models / "mine.safetensors")
    configs = (None, "v2-inference", "v2-inference-v", "v1-inference")
    jobs = [
        bench.submit(model="mine", ddim_steps=2, seed=1, config=name and f"scripts/{name}.yaml")
        for name in configs
    ]
    with bench.context(engine) as context:
        for _ in jobs:
            execute_job(context, "standard")
    usual, epsilon, v, other = (pixels(bench, job) for job in jobs)
    assert usual == v == other != epsilon
    assert "does not fit the model mine" in bench.status(jobs[3]).warnings[0]


def test_a_folder_in_diffusers_layout_is_a_model(bench: Bench, engine: StableDiffusion) -> None:
    networks = random_networks(TINY)
    save_checkpoint(networks, TINY, bench.models / "file.safetensors", dtype=torch.float32)
    diffusers(networks, TINY, bench.models, torch.float32).rename(bench.models / "My Model")
    jobs = [bench.submit(model=name, ddim_steps=1) for name in ("My Model", "file")]
    with bench.context(engine) as context:
        for _ in jobs:
            execute_job(context, "standard")
    assert pixels(bench, jobs[0]) == pixels(bench, jobs[1])


@pytest.mark.service
def test_a_worker_process_generates_with_the_real_engine(bench: Bench, redis_url: str) -> None:
    first = bench.send(model="tiny", ddim_steps=2, device="cuda")
    with worker(bench, redis_url, "worker.app", DEFAULT_MODEL="tiny"):
        status = bench.ended(first)
        assert status.state is JobState.SUCCESS, status.failure
        assert "no CUDA device" in status.warnings[0]
        again = bench.send(model="tiny", ddim_steps=2)
        assert bench.ended(again).state is JobState.SUCCESS
    assert pixels(bench, first) == pixels(bench, again)


def test_embeddings_that_cannot_be_used_are_warnings(
    bench: Bench, additions: tuple[StableDiffusion, Catalogue]
) -> None:
    engine, catalogue = additions
    prompts = ("a huge cat", "a <huge> cat", "embedding:huge", "a broken cat", "a <broken> cat")
    jobs = [bench.submit(model="tiny", ddim_steps=1, prompt=prompt) for prompt in prompts]
    with bench.context(engine, catalogue) as context:
        for _ in jobs:
            execute_job(context, "standard")
    for job in jobs[:3]:
        assert bench.status(job).warnings == (
            "embedding huge: it was made for sdxl (2048 numbers a vector, not 48), so "
            "its name is only a word",
        )
        assert bench.status(job).state is JobState.SUCCESS
    assert bench.status(jobs[3]).state is JobState.SUCCESS
    assert "embedding broken: its file cannot be read" in bench.status(jobs[3]).warnings[0]
    failure = bench.status(jobs[4]).failure
    assert failure
    assert failure.code == "unknown_embedding"
    assert "'broken.pt'" in failure.message


def test_a_lora_has_several_names_and_two_weights(
    bench: Bench, additions: tuple[StableDiffusion, Catalogue]
) -> None:
    engine, catalogue = additions
    prompts = (
        "a cat",
        "a cat <lora:style/oil-v2:1:0.5>",
        "a cat <lora:oil-v2:te=1:unet=0.5>",
        "a cat <lyco:painted:0.5>",
        "a cat <lora:painted:0.5:1>",
        "a charm cat <lora:painted:0.5:1>",
        "a <charm> cat <lora:painted:0.5:1>",
        "a charm cat",
        "a <charm> cat",
    )
    body = {"model": "tiny", "ddim_steps": 2, "seed": 4}
    jobs = [bench.submit(**body, prompt=prompt) for prompt in prompts]
    with bench.context(engine, catalogue) as context:
        for _ in jobs:
            execute_job(context, "standard")
    plain, by_path, by_stem, by_alias, stronger, charmed, tagged, word = (
        pixels(bench, job) for job in jobs[:8]
    )
    # the file changes the UNet alone
    assert by_path == by_stem == by_alias
    assert len({plain, by_path, stronger, charmed, word}) == 5
    assert tagged == charmed
    failure = bench.status(jobs[8]).failure
    assert failure
    assert failure.code == "unknown_embedding"
    assert bench.status(jobs[1]).warnings == (
        "LoRA oil-v2: 1 of 4 tensors were not used: logit_scale",
    )
    assert bench.status(jobs[0]).warnings == ()


def test_a_request_chooses_its_autoencoder(bench: Bench, weights: Path, tmp_path: Path) -> None:
    other = original_tensors(random_networks(TINY, seed=5), TINY)
    (bench.models / "vae").mkdir()
    save_file(
        {n: t for n, t in other.items() if n.startswith("first_stage_model.")},
        bench.models / "vae" / "mse .safetensors",
    )
    shown = []
    engine = StableDiffusion("cpu", 1, tmp_path / "upscalers", cache=tmp_path / "cache")
    with bench.context(engine, Catalogue(bench.models, "tiny")) as context:
        for vae in (None, "mse", "mse.safetensors", None, "taesd-tiny", "gone"):
            job_id = bench.submit(model="tiny", ddim_steps=1, vae=vae)
            execute_job(context, "standard")
            shown.append(job_id)
    pictures = [pixels(bench, job_id) for job_id in shown[:5]]
    assert pictures[0] == pictures[3] != pictures[1] == pictures[2]
    assert pictures[4] not in pictures[:4]
    status = bench.status(shown[1])
    assert status.result
    assert status.result.vae == "mse .safetensors"
    picture = Image.open(io.BytesIO(bench.store.read(status.result.images[0].name)))
    assert "VAE: mse .safetensors" in picture.info["parameters"]
    failure = bench.status(shown[5]).failure
    assert failure
    assert (failure.code, failure.message) == (
        "unknown_vae",
        "no VAE 'gone' here; installed: mse, taesd-tiny",
    )


@pytest.mark.parametrize(
    ("file", "spelling"),
    [
        ("X.SAFETENSORS", "X"),
        ("my model .safetensors", "my model"),
        ("cafe\u0301 100% [v1.5] 🐉.safetensors", "caf\u00e9 100% [v1.5] 🐉"),
        ("style/ink.safetensors", "style\\ink"),
        ("n" * 200 + ".safetensors", "n" * 200 + ".safetensors"),
    ],
)
def test_a_model_of_an_odd_name_is_opened(
    bench: Bench, weights: Path, engine: StableDiffusion, file: str, spelling: str
) -> None:
    (bench.models / file).parent.mkdir(exist_ok=True)
    (bench.models / file).symlink_to(weights)
    catalogue = Catalogue(bench.models, "tiny")
    chosen = InstalledModels(names=tuple(catalogue.installed())).choose(spelling)
    with bench.context(engine, catalogue) as context:
        job_id = bench.submit(model=chosen.name, ddim_steps=1)
        execute_job(context, "standard")
    result = bench.status(job_id).result
    assert result, bench.status(job_id).failure
    assert result.model == chosen.name


def test_a_clip_skip_changes_the_picture_of_a_model_that_has_such_a_layer(
    bench: Bench, engine: StableDiffusion
) -> None:
    tensors = original_tensors(random_networks(TINY_V2), TINY_V2, torch.float32)
    save_file(tensors, bench.models / "second.safetensors")
    skips = (1, 2, 3, 12)
    jobs = [bench.submit(model="tiny", ddim_steps=1, clip_skip=skip) for skip in skips]
    others = [bench.submit(model="second", ddim_steps=1, clip_skip=skip) for skip in (1, 2)]
    with bench.context(engine) as context:
        for _ in (*jobs, *others):
            execute_job(context, "standard")
    last, before, first, beyond = (pixels(bench, job) for job in jobs)
    assert len({last, before, first}) == 3
    assert beyond == first
    assert pixels(bench, others[0]) == pixels(bench, others[1])
    assert [bench.status(job).warnings for job in (*jobs[:3], others[0])] == [()] * 4
    for job, told in (
        (jobs[3], "clip_skip: 12 was asked for; the text encoder of tiny has 3"),
        (others[1], "clip_skip: 2 was asked for; the text encoder of second has 1"),
    ):
        assert bench.status(job).warnings == (told,)


def test_a_job_in_automatic1111s_grammar_says_what_it_drew_at_which_step(
    bench: Bench, engine: StableDiffusion
) -> None:
    prompt, negative = "a [red|blue] cat AND fog :0.5", "[dog:bird:0.5]"
    body = {"model": "tiny", "ddim_steps": 2, "prompt": prompt, "negative_prompt": negative}
    job, native = bench.submit(**body, prompt_grammar="a1111"), bench.submit(**body)
    with bench.context(engine) as context:
        for _ in (job, native):
            execute_job(context, "standard")
    assert pixels(bench, job) != pixels(bench, native)
    result = bench.status(job).result
    assert result
    echo = result.prompt["prompt"]
    assert [(part["weight"], part["schedule"][0]["text"]) for part in echo["parts"]] == [
        (1.0, "a red cat"),
        (0.5, "fog"),
    ]
    (unwanted,) = result.prompt["negative_prompt"]["parts"]
    assert [(each["until_step"], each["text"]) for each in unwanted["schedule"]] == [
        (1, "dog"),
        (2, "bird"),
    ]


def test_a_refiner_goes_on_with_a_job_and_is_named(bench: Bench, engine: StableDiffusion) -> None:
    torch.manual_seed(2)
    save_checkpoint(build_networks(TINY), TINY, bench.models / "other.safetensors")
    body: dict[str, Any] = {"ddim_steps": 4, "sampler": "k_euler", "seed": 8}
    alone = bench.submit(model="tiny", **body)
    refined, never = (
        bench.submit(
            model="tiny",
            **body,
            scheduler=scheduler,
            refiner={"ckpt": "other", "switch_at": share},
        )
        for scheduler, share in (("automatic", 0.5), ("sgm_uniform", 0.9))
    )
    with bench.context(engine) as context:
        for _ in range(3):
            execute_job(context, "standard")
    assert pixels(bench, alone) != pixels(bench, refined)
    result = bench.status(refined).result
    assert result
    image = Image.open(io.BytesIO(bench.store.read(result.images[0].name)))
    assert re.search(r"Refiner: other \[\w{10}\], Refiner switch at: 0.5", image.info["parameters"])
    assert bench.status(refined).warnings == ()
    (warning,) = bench.status(never).warnings
    assert "refiner: no step begins after 0.9 of the noise levels" in warning
