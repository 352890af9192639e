"""The grid of several images."""

import math
from collections.abc import Sequence

from PIL import Image


def grid(images: Sequence[Image.Image], rows: int) -> Image.Image:
    """All images in one, from left to right and top to bottom, in `rows` rows (at least one).

    All images have the same size; unused cells stay black.
    """
    rows = min(rows, len(images))
    columns = math.ceil(len(images) / rows)
    width, height = images[0].size
    sheet = Image.new("RGB", (columns * width, rows * height))
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        sheet.paste(image, (column * width, row * height))
    return sheet
