"""`make pictures`: draws the README's pictures with the shipped model.

The same commit gives the same files: prompts, seeds and sizes stand here.
"""

from pathlib import Path

import torch
from PIL import Image, ImageDraw

from stable_diffusion.generate import generate
from stable_diffusion.model import Model, load_model
from stable_diffusion.recipe import Recipe
from stable_diffusion.samplers import SAMPLERS
from stable_diffusion.tiny import PATH

FOLDER = Path(__file__).parents[1] / "readme_examples"
SIDE = 256
CAPTION = 16

GALLERY = (
    "a red dragon on a beach",
    "a yellow duck on grass",
    "an orange cat at night",
    "a brown guitar on a white background",
    "a green tree on grass",
    "a pink heart on a blue background",
    "a white house on a beach",
    "a yellow star at night",
    "a red circle and a blue square on a white background",
    "a small black cat on the left on grass",
    "a big purple triangle on a yellow background",
    "an orange ring on a black background",
)
# The reference's examples, and the names that it gives their pictures.
ATTENTION = {
    "a-red-scaley-dragon-playing-a-guitar-on-a-beach": (
        "a red scaley dragon playing a guitar on a beach"
    ),
    "a-red-scaley-(dragon)-playing-a-(guitar)-on-a-beach": (
        "a red scaley (dragon) playing a guitar on a beach"
    ),
    "a-(red)-scaley-(((dragon)))-playing-a-((guitar))-on-a-beach": (
        "a (red) scaley (((dragon))) playing a ((guitar)) on a [beach]"
    ),
    "a-(((red)))-scaley-[dragon]-playing-a-[guitar]-on-a-[beach]": (
        "a (((red))) scaley [dragon] playing a [guitar] on a [beach]"
    ),
}
ATTENTION_SEED = 42


def draw(model: Model, prompt: str, **options: object) -> Image.Image:
    """One picture of 256 pixels, 25 steps."""
    recipe = Recipe(prompt=prompt, width=SIDE, height=SIDE, steps=25, **options)  # type: ignore[arg-type]
    return next(iter(generate(model, recipe))).image


def sheet(pictures: list[tuple[str, Image.Image]], columns: int) -> Image.Image:
    """The pictures in rows, each with its words below."""
    rows = -(-len(pictures) // columns)
    paper = Image.new("RGB", (columns * SIDE, rows * (SIDE + CAPTION)), "white")
    pen = ImageDraw.Draw(paper)
    for index, (words, picture) in enumerate(pictures):
        x, y = index % columns * SIDE, index // columns * (SIDE + CAPTION)
        paper.paste(picture, (x, y))
        pen.text((x + 4, y + SIDE + 2), words[:42], fill="black")
    return paper


def main() -> None:
    """Draw them all."""
    FOLDER.mkdir(exist_ok=True)
    torch.set_num_threads(1)  # sums are added in another order by more: the files would differ
    model = load_model(PATH, name="tiny")
    gallery = [(prompt, draw(model, prompt, seed=42)) for prompt in GALLERY]
    sheet(gallery, columns=4).save(FOLDER / "gallery.png", optimize=True)
    for name, prompt in ATTENTION.items():
        draw(model, prompt, seed=ATTENTION_SEED).save(FOLDER / f"{name}.png", optimize=True)
    prompt = "a red dragon on a beach"
    compared = [(SAMPLERS[key].row.label, draw(model, prompt, sampler=key)) for key in SAMPLERS]
    sheet(compared, columns=6).save(FOLDER / "sampler-comparison.jpg", quality=90)


if __name__ == "__main__":
    main()
