"""A job becomes pictures."""

import io

import pytest
from PIL import Image

from jobs.errors import NoSuchPicture
from jobs.status import JobState
from stable_diffusion.errors import PromptError
from tests.worker.conftest import Bench
from tests.worker.small import SmallEngine
from worker.execution.execute_job import execute_job


def opened(bench: Bench, name: str) -> Image.Image:
    return Image.open(io.BytesIO(bench.store.read(name)))


def test_a_job_publishes_images_with_their_seeds(bench: Bench) -> None:
    job_id = bench.submit(n_iter=2, n_samples=2, seed=40, outdir="cats")
    bench.run()
    status = bench.status(job_id)
    assert (status.state, status.fraction, status.attempts) == (JobState.SUCCESS, 1, 1)
    assert status.result
    names = [f"cats/{job_id}_{n}.png" for n in range(4)]
    assert [image.name for image in status.result.images] == names
    assert status.result.seeds == (40, 41, 42, 43)
    assert bench.files() == names
    assert opened(bench, names[2]).getpixel((0, 0)) == (42, 2, 99)
    assert status.result.prompt["prompt"] == {"text": "a red cat"}
    assert set(status.result.timings) == {"queued", "load", "sample", "save"}
    assert bench.records.recent() == (job_id,)


def test_every_image_contains_its_infotext(bench: Bench) -> None:
    png = bench.submit(n_iter=2, seed=3)
    bench.run()
    webp = bench.submit(format="webp", prompt="ein Ätna, 東京")
    bench.run()
    parameters = opened(bench, f"outputs/txt2img-samples/{png}_1.png").info["parameters"]
    assert parameters.startswith("a red cat\nSteps: 5, Sampler: DDIM,")
    assert "Seed: 4, Size: 64x64, Model hash: 0123456789, Model: small" in parameters
    comment = opened(bench, f"outputs/txt2img-samples/{webp}_0.webp").getexif()
    text = comment.get_ifd(0x8769)[0x9286]
    assert text.removeprefix(b"UNICODE\0").decode("utf-16-be").startswith("ein Ätna, 東京\n")


def test_the_seeds_of_several_prompts_are_consecutive(bench: Bench) -> None:
    job_id = bench.submit(prompts=("a cat", "a dog"), n_iter=2, seed=5, skip_grid=False)
    bench.run()
    status = bench.status(job_id)
    assert status.result
    assert status.result.seeds == (5, 6, 7, 8)
    assert status.result.grid
    texts = [opened(bench, image.name).info["parameters"] for image in status.result.images]
    assert [text.partition("\n")[0] for text in texts] == ["a cat", "a cat", "a dog", "a dog"]
    assert ["Seed: 8" in text for text in texts] == [False, False, False, True]
    assert status.result.prompt["prompts"] == [{"text": "a cat"}, {"text": "a dog"}]


def test_every_image_has_the_text_that_was_drawn_for_it(bench: Bench) -> None:
    job_id = bench.submit(
        prompt="a {cat|dog}",
        negative_prompt="{fog|rain}",
        wildcards=True,
        prompts=("a cat", "a dog", "a cat"),
        negative_prompts=("fog", "fog", "rain"),
        n_samples=3,
        seed=5,
    )
    bench.run()
    status = bench.status(job_id)
    assert status.result, status.failure
    assert status.result.seeds == (5, 6, 7)
    texts = [opened(bench, image.name).info["parameters"] for image in status.result.images]
    assert [text.split("\n")[:2] for text in texts] == [
        ["a cat", "Negative prompt: fog"],
        ["a dog", "Negative prompt: fog"],
        ["a cat", "Negative prompt: rain"],
    ]
    assert [each["text"] for each in status.result.prompt["prompts"]] == ["a cat", "a dog", "a cat"]


def test_a_comparison_has_an_image_of_each_combination_and_a_labelled_grid(bench: Bench) -> None:
    vary = {"sampler": ["Euler a", "ddim"], "ddim_steps": [3, 5, 20]}
    job_id = bench.submit(vary=vary, n_samples=2, seed=40)
    bench.run()
    status = bench.status(job_id)
    result = status.result
    assert result, status.failure
    assert status.request["vary"] == {"sampler": ["k_euler_a", "ddim"], "ddim_steps": [3, 5, 20]}
    texts = [opened(bench, image.name).info["parameters"] for image in result.images]
    assert result.seeds == (40, 41) * 6
    assert [text.split("\n")[1].split(", Sch")[0] for text in texts[::2]] == [
        f"Steps: {steps}, Sampler: {sampler}"
        for steps in (3, 5, 20)
        for sampler in ("Euler a", "DDIM")
    ]
    assert result.grid
    sheet = opened(bench, result.grid.name)
    # the pictures of a combination are side by side, in the lower right of the labels
    left, above = sheet.width - 4 * 64, sheet.height - 3 * 64
    assert (left > 100) and (above > 20)
    first, last = opened(bench, result.images[0].name), opened(bench, result.images[11].name)
    assert sheet.getpixel((left, above)) == first.getpixel((0, 0))
    assert sheet.getpixel((left + 3 * 64, above + 2 * 64)) == last.getpixel((0, 0))
    assert sheet.getpixel((0, 0)) == (255, 255, 255)
    extremes = sheet.crop((left, 0, sheet.width, above)).convert("L").getextrema()
    assert extremes == (0, 255)


def test_models_and_sizes_are_compared_and_each_model_is_loaded_once(bench: Bench) -> None:
    (bench.models / "other.safetensors").touch()
    engine = SmallEngine()
    engine.memory_bytes = lambda: 2**31  # room for one model
    vary = {"ckpt": ["small", "other"], "H": [64, 128]}
    job_id = bench.submit(vary=vary, n_samples=2, seed=40)
    bench.run(engine)
    result = bench.status(job_id).result
    assert result, bench.status(job_id).failure
    assert engine.loads == ["small", "other"]
    texts = [opened(bench, image.name).info["parameters"] for image in result.images]
    found = [text.partition("Size: ")[2].split(", ")[:3:2] for text in texts]
    small, other = "Model: small", "Model: other"
    assert found == [
        *(["64x64", small], ["64x64", small], ["64x64", other], ["64x64", other]),
        *(["64x128", small], ["64x128", small], ["64x128", other], ["64x128", other]),
    ]
    assert result.seeds == (40, 41) * 4
    assert [image.height for image in result.images] == [64] * 4 + [128] * 4
    assert (result.model, result.executed_steps) == ("small", 5)
    assert result.grid
    sheet = opened(bench, result.grid.name)
    assert "Model: small" in sheet.info["parameters"]
    # a lower picture is in the middle of a cell of the higher ones
    left, above = sheet.width - 4 * 64, sheet.height - 2 * 128
    assert sheet.getpixel((left, above + 31)) == (255, 255, 255)
    assert sheet.getpixel((left, above + 32)) == sheet.getpixel((left, above + 95)) == (40, 0, 99)
    assert sheet.getpixel((left, above + 96)) == (255, 255, 255)
    assert sheet.getpixel((left + 3 * 64, above + 128)) == (41, 1, 99)


def test_a_model_is_loaded_once_with_each_autoencoder_that_is_compared(bench: Bench) -> None:
    (bench.models / "vae").mkdir()
    (bench.models / "vae" / "mse.safetensors").touch()
    engine = SmallEngine()
    engine.memory_bytes = lambda: 2**31  # room for one model
    job_id = bench.submit(vary={"vae": [None, "mse"], "seed": [5, 6, 7]})
    bench.run(engine)
    result = bench.status(job_id).result
    assert result, bench.status(job_id).failure
    assert engine.loads == ["small", "small"]
    assert result.seeds == (5, 5, 6, 6, 7, 7)
    texts = [opened(bench, image.name).info["parameters"] for image in result.images]
    assert ["VAE: mse" in text for text in texts] == [False, True] * 3


def test_a_grid_has_all_images_in_the_requested_rows(bench: Bench) -> None:
    job_id = bench.submit(n_iter=3, n_samples=2, skip_grid=False, n_rows=3, W=128, seed=0)
    bench.run()
    result = bench.status(job_id).result
    assert result
    assert result.grid
    assert (result.grid.width, result.grid.height) == (2 * 128, 3 * 64)
    sheet = opened(bench, result.grid.name)
    assert sheet.getpixel((130, 65)) == (3, 3, 99)


def test_a_grid_that_is_too_long_for_its_format_is_reduced(bench: Bench) -> None:
    job_id = bench.submit(n_iter=33, skip_grid=False, n_rows=1, W=512, ddim_steps=1, format="webp")
    bench.run()
    status = bench.status(job_id)
    assert status.result
    assert status.result.grid
    assert (status.result.grid.width, status.result.grid.height) == (16383, 62)
    assert "the grid was reduced from 16896x64 to 16383x62" in status.warnings[0]


def test_a_single_image_has_no_grid(bench: Bench) -> None:
    job_id = bench.submit(skip_grid=False)
    bench.run()
    result = bench.status(job_id).result
    assert result
    assert result.grid is None


def test_with_skip_save_only_the_grid_is_kept(bench: Bench) -> None:
    job_id = bench.submit(n_iter=2, skip_save=True, skip_grid=False, outdir="kept")
    bench.run()
    result = bench.status(job_id).result
    assert result
    assert not result.saved
    assert bench.files() == [
        f"kept/{job_id}_grid.png",
        f"transient/{job_id}_0.png",
        f"transient/{job_id}_1.png",
    ]


def test_an_init_image_is_deleted_when_its_job_ends(bench: Bench) -> None:
    for engine in (SmallEngine(), SmallEngine(errors={"a red cat": PromptError("no", 0)})):
        job_id = bench.submit("img2img", n_iter=1)
        bench.run(engine)
        assert bench.status(job_id).state.final
        with pytest.raises(NoSuchPicture):
            bench.store.read_input(job_id, "init")


def test_a_device_that_is_not_available_is_a_warning(bench: Bench) -> None:
    job_id = bench.submit(device="cuda")
    bench.run()
    assert bench.status(job_id).warnings == (
        "device: cuda was asked for; this worker has no CUDA device, so it ran on the CPU",
    )


def test_without_a_waiting_job_nothing_happens(bench: Bench) -> None:
    with bench.context() as context:
        assert execute_job(context, "standard") is None
