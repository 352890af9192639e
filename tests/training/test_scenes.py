"""The drawings and their captions agree, and the judges see in a drawing what was drawn."""

import random

import numpy
import pytest
from PIL import Image

from stable_diffusion.prompt.tokenizer import ClipTokenizer
from training import judge
from training.captions import caption, plain_text
from training.drawings import draw
from training.scenes import COLOURS, ICONS, SCENERY, Scene, Thing, random_scene
from training.tokens import CaptionTokens
from training.wishes import wishes


def test_a_caption_names_only_what_the_picture_shows() -> None:
    rng = random.Random(1)
    for _ in range(500):
        scene = random_scene(rng)
        words = set(plain_text(caption(scene, rng)).replace(",", " ").split())
        shown = {thing.icon for thing in scene.things}
        colours = {thing.colour for thing in scene.things} | {scene.background}
        # "a green field" is grass, whatever is on it
        colours |= {"green"} if scene.background == "grass" else set()
        assert words & set(ICONS) <= shown
        assert words & set(COLOURS) <= colours
        assert words & set(SCENERY) <= {scene.background}


def test_a_picture_that_shows_an_emphasis_has_a_caption_that_says_it() -> None:
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
        said = tokens.tokenizer.encode(plain_text(pieces))
        tail = tokens.tokenizer.encode(pieces[-1].words) if pieces else []
        assert set(said) - set(tail) <= tokens.known


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


def test_the_judges_see_what_was_drawn() -> None:
    rng = random.Random(6)
    for wish in wishes(96, seed=6):
        image = draw(Scene((Thing(wish.icon, wish.colour),), wish.background), 256, 256, rng)
        assert judge.background_right(image, wish.background)
        assert judge.is_coloured(image, wish.background, wish.colour)
        assert judge.object_count(image, wish.background) <= 2


def test_a_roof_does_not_hide_from_the_judges_which_colour_a_house_has() -> None:
    rng = random.Random(8)
    for colour in COLOURS:
        background = "white" if colour == "blue" else "blue"
        image = draw(Scene((Thing("house", colour),), background), 256, 256, rng)
        others = set(COLOURS) - {colour, background}
        assert judge.is_coloured(image, background, colour)
        assert sum(judge.is_coloured(image, background, other) for other in others) <= 1


def test_the_judges_are_not_fooled_by_another_picture() -> None:
    rng = random.Random(7)
    image = draw(Scene((Thing("circle", "red"),), "blue"), 256, 256, rng)
    assert judge.main_colour(image, "blue") == "red"
    assert [colour for colour in COLOURS if judge.is_coloured(image, "blue", colour)] == ["red"]
    nothing = Image.new("RGB", (256, 256), "blue")
    assert judge.main_colour(nothing, "blue") is None
    assert not judge.is_coloured(nothing, "blue", "red")
    assert not judge.background_right(image, "white")
    assert not judge.background_right(image, "beach")
    assert judge.colour_share(image, "green") == 0


def test_emphasis_is_drawn_as_area() -> None:
    shares = []
    for weight in (0.5, 1.0, 2.0):
        scene = Scene((Thing("square", "red", icon_weight=weight),), "white")
        image = numpy.asarray(draw(scene, 256, 256, random.Random(8)))
        shares.append((image[..., 1] < 100).mean())
    assert shares[1] / shares[0] == pytest.approx(2, rel=0.2)
    assert shares[2] / shares[1] == pytest.approx(2, rel=0.2)
