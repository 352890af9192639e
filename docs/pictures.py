"""`make pictures`: generate the images in readme_examples/ with the shipped model.

Prompts, seeds and sizes are fixed: one commit produces the same files on the same processor.
"""

from pathlib import Path

import torch
from PIL import Image, ImageDraw

from jobs.names import SAMPLERS
from stable_diffusion.generate import generate
from stable_diffusion.load_model import load_model
from stable_diffusion.model import Model
from stable_diffusion.recipe import Recipe
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
# The reference's file names, each with the prompt of its image.
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


def image_of(model: Model, prompt: str, **options: object) -> Image.Image:
    """One image of 256 × 256 pixels, 25 steps."""
    recipe = Recipe(prompt=prompt, width=SIDE, height=SIDE, steps=25, **options)  # type: ignore[arg-type]
    return next(iter(generate(model, recipe))).image


def contact_sheet(captioned: list[tuple[str, Image.Image]], columns: int) -> Image.Image:
    """The images in rows, each above its caption."""
    rows = -(-len(captioned) // columns)
    sheet = Image.new("RGB", (columns * SIDE, rows * (SIDE + CAPTION)), "white")
    canvas = ImageDraw.Draw(sheet)
    for index, (caption, image) in enumerate(captioned):
        x, y = index % columns * SIDE, index // columns * (SIDE + CAPTION)
        sheet.paste(image, (x, y))
        canvas.text((x + 4, y + SIDE + 2), caption[:42], fill="black")
    return sheet


def main() -> None:
    """Write all files."""
    FOLDER.mkdir(exist_ok=True)
    torch.set_num_threads(1)  # the order of summation, and so the files, depend on the threads
    model = load_model(PATH, name="tiny")
    gallery = [(prompt, image_of(model, prompt, seed=42)) for prompt in GALLERY]
    contact_sheet(gallery, columns=4).save(FOLDER / "gallery.png", optimize=True)
    for name, prompt in ATTENTION.items():
        image_of(model, prompt, seed=ATTENTION_SEED).save(FOLDER / f"{name}.png", optimize=True)
    prompt = "a red dragon on a beach"
    rows = [row for row in SAMPLERS if not row.distilled]  # the shipped model is not
    compared = [(one.label, image_of(model, prompt, sampler=one.key)) for one in rows]
    contact_sheet(compared, columns=6).save(FOLDER / "sampler-comparison.jpg", quality=90)


if __name__ == "__main__":
    main()
