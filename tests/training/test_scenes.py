"""Drawings and captions agree, and the pixel checks recognise the content of drawings."""

import random
from collections.abc import Sequence

import numpy
import pytest
from PIL import Image

from stable_diffusion.prompt.tokenizer import ClipTokenizer
from training import pixel_checks
from training.captions import Piece, caption
from training.drawings import draw
from training.eval_prompts import eval_prompts
from training.scenes import COLOURS, ICONS, SCENERY, Scene, Thing, random_scene
from training.tokens import CaptionTokens


def text_of(pieces: Sequence[Piece]) -> str:
    return " ".join(piece.words.strip() for piece in pieces)


def test_a_caption_names_only_what_the_picture_shows() -> None:
    rng = random.Random(1)
    for _ in range(500):
        scene = random_scene(rng)
        words = set(text_of(caption(scene, rng)).replace(",", " ").split())
        shown = {thing.icon for thing in scene.things}
        colours = {thing.colour for thing in scene.things} | {scene.background}
        # "a green field" is grass, whatever is on it
        colours |= {"green"} if scene.background == "grass" else set()
        assert words & set(ICONS) <= shown
        assert words & set(COLOURS) <= colours
        assert words & set(SCENERY) <= {scene.background}


def test_an_emphasis_in_the_picture_is_in_the_caption() -> None:
    rng = random.Random(2)
    for _ in range(500):
        scene = random_scene(rng, weighted=1.0)
        pieces = caption(scene, rng)
        weights = {thing.icon_weight for thing in scene.things} | {scene.background_weight}
        assert not pieces or weights <= {piece.weight for piece in pieces} | {1.0}


def test_every_word_of_every_caption_is_known_to_the_model() -> None:
    tokens = CaptionTokens(ClipTokenizer())
    rng = random.Random(3)
    for _ in range(500):
        pieces = caption(random_scene(rng), rng)
        ids = tokens.tokenizer.encode(text_of(pieces))
        tail = tokens.tokenizer.encode(pieces[-1].words) if pieces else []
        assert set(ids) - set(tail) <= tokens.known


def test_captions_point_at_the_nouns_of_their_things() -> None:
    tokens = CaptionTokens(ClipTokenizer())
    rng = random.Random(4)
    scene = Scene((Thing("dragon", "red", "left"), Thing("tree", "blue", "right")), "beach")
    pieces = next(p for p in (caption(scene, rng) for _ in range(50)) if len(p) > 4)
    batch = tokens.batch([pieces], rng)
    named = [int(batch.ids[0, position]) for position in batch.nouns[0]]
    assert named == [tokens.tokenizer.encode("dragon")[-1], tokens.tokenizer.encode("tree")[-1]]


@pytest.mark.parametrize("size", [(128, 128), (256, 256), (384, 256), (512, 512)])
def test_every_scene_can_be_drawn_at_every_size(size: tuple[int, int]) -> None:
    rng = random.Random(5)
    for _ in range(20):
        assert draw(random_scene(rng), *size, rng).size == size


def test_the_checks_recognise_drawings() -> None:
    rng = random.Random(6)
    for wanted in eval_prompts(96, seed=6):
        image = draw(Scene((Thing(wanted.icon, wanted.colour),), wanted.background), 256, 256, rng)
        assert pixel_checks.background_right(image, wanted.background)
        assert pixel_checks.is_coloured(image, wanted.background, wanted.colour)
        assert pixel_checks.object_count(image, wanted.background) <= 2


def test_the_checks_recognise_the_colour_of_a_house_despite_its_roof() -> None:
    rng = random.Random(8)
    for colour in COLOURS:
        background = "white" if colour == "blue" else "blue"
        image = draw(Scene((Thing("house", colour),), background), 256, 256, rng)
        others = set(COLOURS) - {colour, background}
        assert pixel_checks.is_coloured(image, background, colour)
        assert sum(pixel_checks.is_coloured(image, background, other) for other in others) <= 1


def test_the_checks_reject_other_pictures() -> None:
    rng = random.Random(7)
    image = draw(Scene((Thing("circle", "red"),), "blue"), 256, 256, rng)
    assert pixel_checks.main_colour(image, "blue") == "red"
    assert [colour for colour in COLOURS if pixel_checks.is_coloured(image, "blue", colour)] == [
        "red"
    ]
    nothing = Image.new("RGB", (256, 256), "blue")
    assert pixel_checks.main_colour(nothing, "blue") is None
    assert not pixel_checks.is_coloured(nothing, "blue", "red")
    assert not pixel_checks.background_right(image, "white")
    assert not pixel_checks.background_right(image, "beach")
    assert pixel_checks.colour_share(image, "green") == 0


def test_emphasis_is_drawn_as_area() -> None:
    shares = []
    for weight in (0.5, 1.0, 2.0):
        scene = Scene((Thing("square", "red", icon_weight=weight),), "white")
        image = numpy.asarray(draw(scene, 256, 256, random.Random(8)))
        shares.append((image[..., 1] < 100).mean())
    assert shares[1] / shares[0] == pytest.approx(2, rel=0.2)
    assert shares[2] / shares[1] == pytest.approx(2, rel=0.2)
