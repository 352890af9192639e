"""Jobs with masks, with the shipped models: what is generated anew, and what stays to the byte."""

import base64
import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy
import pytest
from PIL import Image, ImageChops, ImageDraw, ImageOps

from jobs.status import JobState, JobStatus
from stable_diffusion.image import fit
from stable_diffusion.tiny import PATH
from tests.worker.conftest import Bench, png
from worker.execution.diffusion_engine import StableDiffusion
from worker.execution.engine import EngineProvider
from worker.execution.execute_job import execute_job
from worker.models.catalogue import Catalogue
from worker.models.model_cache import ModelCache

SIDE = 128


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StableDiffusion]:
    yield StableDiffusion("cpu", 1, tmp_path_factory.mktemp("upscalers"))


@pytest.fixture(scope="module")
def loaded(engine: StableDiffusion) -> ModelCache:
    """The shipped models, loaded once for all tests."""
    return ModelCache(Catalogue(PATH.parent, "tiny"), EngineProvider(lambda: engine))


@pytest.fixture
def bench(bench: Bench, loaded: ModelCache) -> Bench:
    return replace(bench, loaded=loaded)


def scene(size: tuple[int, int] = (SIDE, SIDE)) -> Image.Image:
    """A gradient with fine noise, of which an autoencoder keeps no pixel."""
    values = numpy.random.default_rng(1).integers(0, 256, (size[1], size[0]), numpy.uint8)
    noise = Image.fromarray(values)
    gradient = Image.linear_gradient("L").resize(size)
    return Image.merge("RGB", (gradient, noise, ImageOps.invert(gradient)))


def half(size: tuple[int, int] = (SIDE, SIDE)) -> Image.Image:
    """A mask of the right half."""
    mask = Image.new("L", size)
    mask.paste(255, (size[0] // 2, 0, *size))
    return mask


def transparent(image: Image.Image, mask: Image.Image) -> Image.Image:
    """The image with the mask as its transparency."""
    image = image.copy()
    image.putalpha(ImageOps.invert(mask))
    return image


DEFAULTS = {
    "model": "tiny",
    "prompt": "a red circle",
    "ddim_steps": 4,
    "denoising_strength": 1.0,
    "sampler": "k_euler_a",
    "n_iter": 1,
    "H": SIDE,
    "W": SIDE,
}


def run_all(bench: Bench, engine: StableDiffusion, *bodies: dict[str, Any]) -> list[JobStatus]:
    """Execute jobs one after the other, by one worker."""
    jobs = [bench.submit("img2img", **{**DEFAULTS, **body}) for body in bodies]
    with bench.context(engine) as context:
        for body in bodies:
            execute_job(context, body.get("type", "standard"))
    return [bench.status(job_id) for job_id in jobs]


def run(bench: Bench, engine: StableDiffusion, **body: Any) -> JobStatus:
    return run_all(bench, engine, body)[0]


def pictures(bench: Bench, status: JobStatus) -> list[Image.Image]:
    assert status.state is JobState.SUCCESS, status.failure
    assert status.result
    return [
        Image.open(io.BytesIO(bench.store.read(image.name))).convert("RGB")
        for image in status.result.images
    ]


def edit(
    bench: Bench, engine: StableDiffusion, init: Image.Image, mask: Image.Image | None, **body: Any
) -> Image.Image:
    if mask is not None:
        body["mask"] = png(mask)
    (picture,) = pictures(bench, run(bench, engine, init_img=png(init), **body))
    return picture


def differs(one: Image.Image, other: Image.Image) -> numpy.ndarray[Any, Any]:
    """Where two images differ in any byte, (height, width) bool."""
    return (numpy.asarray(one) != numpy.asarray(other)).any(-1)


@pytest.mark.parametrize(
    ("model", "sampler"),
    [("tiny", "k_euler_a"), ("tiny", "plms"), ("tiny-v2", "ddim"), ("tiny-v2", "k_dpmpp_sde")],
)
def test_what_is_not_masked_stays_to_the_byte(
    bench: Bench, engine: StableDiffusion, model: str, sampler: str
) -> None:
    changed = differs(edit(bench, engine, scene(), half(), model=model, sampler=sampler), scene())
    assert not changed[:, : SIDE // 2].any()
    assert changed[:, SIDE // 2 :].mean() > 0.95


def test_all_forms_of_a_mask_give_one_picture(bench: Bench, engine: StableDiffusion) -> None:
    mask = half()
    ImageDraw.Draw(mask).ellipse((10, 20, 40, 50), fill=100)
    of_strokes = Image.new("RGBA", mask.size, "blue")
    of_strokes.putalpha(mask)
    forms: list[dict[str, Any]] = [
        {"mask": png(mask)},
        {"mask": png(ImageOps.invert(mask)), "mask_invert": True},
        {"mask": png(of_strokes)},
        {"mask": png(mask.convert("RGB"))},
        {"init_img": png(transparent(scene(), mask)), "mask_from_alpha": True},
        {
            "init_img": png(transparent(scene(), ImageOps.invert(mask))),
            "mask_from_alpha": True,
            "mask_invert": True,
        },
    ]
    bodies = ({"init_img": png(scene()), "mask_blur": 2, "ddim_steps": 2} | form for form in forms)
    results = [pictures(bench, status)[0] for status in run_all(bench, engine, *bodies)]
    assert len({result.tobytes() for result in results}) == 1
    assert differs(results[0], scene()).any()


def test_a_mask_and_an_image_of_other_sizes_are_brought_to_the_requested_one(
    bench: Bench, engine: StableDiffusion
) -> None:
    wide = scene((3 * SIDE, 2 * SIDE))
    result = edit(bench, engine, wide, half((30, 20)), mask_fill="noise")
    changed = differs(result, fit(wide, SIDE, SIDE))
    assert not changed[:, : SIDE // 2].any()
    assert changed[:, SIDE // 2 :].mean() > 0.95


def test_a_blurred_mask_has_a_soft_edge_of_its_width(bench: Bench, engine: StableDiffusion) -> None:
    changed = differs(edit(bench, engine, scene(), half(), mask_blur=4), scene())
    assert not changed[:, : SIDE // 2 - 10].any()
    assert changed[:, SIDE // 2 - 6 : SIDE // 2].any()


def test_grey_changes_in_part(bench: Bench, engine: StableDiffusion) -> None:
    """The lighter a mask, the more of the image is another."""
    plain = Image.new("RGB", (SIDE, SIDE), (60, 130, 60))
    mask = Image.new("L", (SIDE, SIDE))
    bands = [slice(number * SIDE // 4, (number + 1) * SIDE // 4) for number in range(4)]
    for band, value in zip(bands, (0, 70, 150, 255), strict=True):
        mask.paste(value, (band.start, 0, band.stop, SIDE))
    result = edit(bench, engine, plain, mask, prompt="a red background", ddim_steps=12)
    change = numpy.abs(numpy.asarray(result, float) - numpy.asarray(plain, float)).mean((0, 2))
    means = [change[band].mean() for band in bands]
    assert means == sorted(means)
    assert means[0] == 0
    assert means[3] > 4 * means[1]


@pytest.mark.parametrize("fill", ["original", "fill", "noise", "latent_nothing"])
def test_what_the_mask_starts_from_is_seen_when_little_changes(
    bench: Bench, engine: StableDiffusion, fill: str
) -> None:
    """A dark square on white: it is still there, or there is what was asked for."""
    init = Image.new("RGB", (SIDE, SIDE), "white")
    box = (48, 48, 80, 80)
    init.paste((20, 20, 60), box)
    mask = Image.new("L", init.size)
    mask.paste(255, (40, 40, 88, 88))
    result = edit(
        bench, engine, init, mask, mask_fill=fill, denoising_strength=0.25, prompt="", scale=1
    )
    darkness = 255 - numpy.asarray(result.crop(box).convert("L"), float).mean()
    if fill == "original":
        assert darkness > 150
    elif fill == "fill":
        assert darkness < 60
    else:
        assert 60 < darkness < 230
    assert not differs(result, init)[:40].any()


def test_only_the_masked_area_is_generated_and_put_back(
    bench: Bench, engine: StableDiffusion
) -> None:
    mask = Image.new("L", (SIDE, SIDE))
    mask.paste(255, (80, 16, 112, 48))
    result = edit(bench, engine, scene(), mask, mask_area="masked", mask_padding=8)
    changed = differs(result, scene())
    assert changed[16:48, 80:112].mean() > 0.95
    changed[16:48, 80:112] = False
    assert not changed.any()
    # at its own scale the part is another than in the whole
    assert differs(result, edit(bench, engine, scene(), mask)).any()


@pytest.mark.parametrize("kind", ["mask", "alpha"])
def test_a_photo_of_any_size_keeps_it_when_only_the_masked_area_is_generated(
    bench: Bench, engine: StableDiffusion, kind: str
) -> None:
    photo = scene((401, 299))
    mask = Image.new("L", photo.size)
    ImageDraw.Draw(mask).ellipse((250, 100, 330, 160), fill=255)
    body: dict[str, Any] = {"mask_area": "masked", "mask_padding": 16, "mask_blur": 2, "W": 96}
    if kind == "mask":
        result = edit(bench, engine, photo, mask, **body)
    else:
        result = edit(bench, engine, transparent(photo, mask), None, mask_from_alpha=True, **body)
    assert result.size == photo.size
    changed = differs(result, photo)
    assert changed[numpy.asarray(mask) > 0].mean() > 0.95
    changed[95:166, 245:336] = False  # 2.5 times the blur around the ellipse
    assert not changed.any()


def test_what_follows_the_masked_area(bench: Bench, engine: StableDiffusion) -> None:
    """Sides are added to the picture as it is; then it is doubled, then of the output size."""
    photo = scene((150, 90))
    mask = Image.new("L", photo.size)
    mask.paste(255, (60, 30, 90, 60))
    body: dict[str, Any] = {
        "init_img": png(photo),
        "mask": png(mask),
        "mask_area": "masked",
        "ddim_steps": 2,
        "H": 64,
        "W": 64,
    }
    statuses = run_all(
        bench,
        engine,
        body | {"extend": {"left": 40, "bottom": 8}},
        body | {"post_upscale": True},
        body | {"output_width": 100, "output_height": 80},
        body | {"n_samples": 2, "skip_grid": False},
    )
    extended, doubled, sized, *_ = (pictures(bench, status)[0] for status in statuses)
    assert (extended.size, doubled.size, sized.size) == ((190, 98), (300, 180), (100, 80))
    kept = differs(extended.crop((40, 0, 190, 90)), photo)
    kept[30:60, 60:90] = False
    assert not kept.any()
    grid = statuses[3].result and statuses[3].result.grid
    assert grid
    assert (grid.width, grid.height) == (150, 180)


@pytest.mark.parametrize("area", ["whole", "masked"])
def test_a_picture_is_extended_around_the_untouched_one(
    bench: Bench, engine: StableDiffusion, area: str
) -> None:
    hole = Image.new("L", (SIDE, SIDE))
    hole.paste(255, (8, 8, 24, 24))
    added = {"left": 32, "bottom": 16}
    result = edit(bench, engine, scene(), hole, extend=added, mask_area=area)
    assert result.size == (SIDE + 32, SIDE + 16)
    inner = result.crop((32, 0, 32 + SIDE, SIDE))
    changed = differs(inner, scene())
    assert changed[8:24, 8:24].mean() > 0.9
    changed[8:24, 8:24] = False
    assert not changed.any()
    without_mask = edit(bench, engine, scene(), None, extend=added)
    assert not differs(without_mask.crop((32, 0, 32 + SIDE, SIDE)), scene()).any()
    border = numpy.asarray(without_mask)[:, :32].reshape(-1, 3)
    assert len(numpy.unique(border, axis=0)) > 100


def test_a_masked_picture_is_the_same_alone_and_in_a_batch(
    bench: Bench, engine: StableDiffusion
) -> None:
    body: dict[str, Any] = {
        "init_img": png(scene()),
        "mask": png(half()),
        "mask_fill": "noise",
        "skip_grid": False,
    }
    batch, alone, optimized = (
        pictures(bench, status)
        for status in run_all(
            bench,
            engine,
            {**body, "n_samples": 2, "n_iter": 2, "seed": 7},
            {**body, "seed": 10},
            {**body, "seed": 8, "type": "optimized"},
        )
    )
    assert len({picture.tobytes() for picture in batch}) == 4
    assert batch[3].tobytes() == alone[0].tobytes()
    assert batch[1].tobytes() == optimized[0].tobytes()


def test_the_result_is_doubled_after_the_image_was_put_back(
    bench: Bench, engine: StableDiffusion
) -> None:
    small = edit(bench, engine, scene((64, 64)), half((64, 64)), H=64, W=64)
    body: dict[str, Any] = {"init_img": png(scene((64, 64))), "mask": png(half((64, 64)))}
    (large,) = pictures(bench, run(bench, engine, H=64, W=64, post_upscale=True, **body))
    upscaler = engine.upscaler()
    assert large.tobytes() == engine.double(upscaler, small, lambda _: None).tobytes()
    # before: what is kept is the doubled image
    (sharper,) = pictures(bench, run(bench, engine, upscale=True, **body))
    doubled = engine.double(upscaler, scene((64, 64)), lambda _: None)
    assert not differs(sharper, doubled)[:, : SIDE // 2].any()


@pytest.mark.parametrize("area", ["whole", "masked"])
def test_previews_show_the_whole_picture(
    bench: Bench, engine: StableDiffusion, area: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Image.Image] = []
    original = bench.claims.preview

    def kept(claim: Any, preview: Any) -> Any:
        shown.append(Image.open(io.BytesIO(base64.b64decode(preview.jpeg))))
        return original(claim, preview)

    monkeypatch.setattr(bench.claims, "preview", kept)
    size = (2 * SIDE, SIDE)
    init = Image.new("RGB", size, (30, 60, 220))
    mask = Image.new("L", size)
    mask.paste(255, (160, 96, 192, 128))
    body: dict[str, Any] = {"init_img": png(init), "mask": png(mask), "mask_area": area}
    run(bench, engine, ddim_steps=20, **body)
    assert shown
    for preview in shown:
        assert preview.size == ((32, 16) if area == "masked" else (16, 16))
        corner = numpy.asarray(preview.convert("RGB"), float)[:8, :8]
        assert numpy.abs(corner - (30, 60, 220)).mean() < 40


def test_parameters_without_effect_are_warnings(bench: Bench, engine: StableDiffusion) -> None:
    status = run(bench, engine, init_img=png(scene()), mask_fill="noise", mask_blur=3)
    assert "mask_blur, mask_fill: without a mask, no effect" in status.warnings
    alone = {"W": 64, "H": 64, "extend": {"left": 64}, "mask_invert": True}
    status = run(bench, engine, init_img=png(scene()), **alone)
    assert any(warning.startswith("mask_invert: ") for warning in status.warnings)
    black = png(Image.new("L", (SIDE, SIDE)))
    status = run(bench, engine, init_img=png(scene()), mask=black, mask_padding=8, image_scale=2.0)
    assert [warning.partition(":")[0] for warning in status.warnings] == [
        "mask_padding",
        "image_scale",
        "mask",
    ]
    (picture,) = pictures(bench, status)
    assert not differs(picture, scene()).any()


def test_a_circle_comes_where_the_mask_is(bench: Bench, engine: StableDiffusion) -> None:
    green = Image.new("RGB", (256, 256), (88, 168, 72))
    mask = Image.new("L", green.size)
    mask.paste(255, (128, 64, 256, 192))
    result = edit(
        bench,
        engine,
        green,
        mask,
        prompt="a red circle on a green meadow",
        ddim_steps=16,
        H=256,
        W=256,
        seed=3,
    )
    red, green_channel, blue = (numpy.asarray(band, int) for band in result.split())
    is_red = (red > 150) & (green_channel < 110) & (blue < 110)
    assert is_red[64:192, 128:].mean() > 0.1
    assert not is_red[:, :128].any()
    assert ImageChops.difference(result, green).getbbox() is not None


@pytest.mark.parametrize("area", ["whole", "masked"])
def test_a_comparison_of_masked_pictures_is_of_the_pictures_alone(
    bench: Bench, engine: StableDiffusion, area: str
) -> None:
    """With prompts that are edited and composed, noise between two seeds, and guidance at times."""
    body: dict[str, Any] = {
        "init_img": png(scene()),
        "mask": png(half()),
        "mask_area": area,
        "mask_blur": 2,
        "type": "optimized",
        "prompt": "[a red:a blue:0.5] circle AND a square :0.6",
        "prompt_grammar": "a1111",
        "clip_skip": 2,
        "guidance_end": 0.6,
        "variation_seed": 5,
        "variation_strength": 0.3,
        "tiling": True,
        "H": 64,
        "W": 64,
    }
    vary = {"mask_fill": ["original", "noise"], "denoising_strength": [0.7, 0.9]}
    several, alone = run_all(
        bench,
        engine,
        {**body, "vary": vary},
        {**body, "mask_fill": "noise", "denoising_strength": 0.9},
    )
    cells = pictures(bench, several)
    assert len({cell.tobytes() for cell in cells}) == 4
    assert cells[3].tobytes() == pictures(bench, alone)[0].tobytes()
    kept = fit(scene(), 64, 64) if area == "whole" else scene()
    for cell in cells:
        assert not differs(cell, kept)[:, : kept.width // 2 - 6].any()
