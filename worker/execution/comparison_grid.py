"""The grid of a comparison: the pictures in rows and columns, with what varies at the edges."""

from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont

from worker.execution.picture_grid import grid
from worker.execution.room import cell_of

_SMALLEST, _LARGEST = 14, 32
"""Pixels of the font; between them a sixteenth of a column."""
_MOST_LINES = 4
_ROW_LABEL = 10
"""Width of the labels at the left, in heights of the font."""
_ENDS = " _,-/"


def labelled_grid(
    images: Sequence[Image.Image], vary: Mapping[str, Sequence[object]]
) -> Image.Image:
    """All images on white, row by row, with the field and the value of each column and row.

    Args:
        images: equally many of each combination, side by side in its cell. One that is smaller than
            others is in the middle of its place.
        vary: as of the request: the first field is that of the columns, a second that of the rows.
    """
    (across, columns), *other = vary.items()
    down, rows = other[0] if other else ("", [""])
    sheet = grid(_of_one_size(images), len(rows))
    cell = sheet.width // len(columns), sheet.height // len(rows)
    size = max(_SMALLEST, min(_LARGEST, cell[0] // 16))
    font = ImageFont.load_default(size)
    margin = size // 2
    top = [_wrapped(_label(across, value), font, cell[0] - margin) for value in columns]
    width = _ROW_LABEL * size
    left = [_wrapped(_label(down, value), font, width) for value in rows if down]
    above = _height(top, font) + 2 * margin
    beside = width + 2 * margin if left else 0
    page = Image.new("RGB", (beside + sheet.width, above + sheet.height), "white")
    page.paste(sheet, (beside, above))
    draw = ImageDraw.Draw(page)
    for number, lines in enumerate(top):
        middle = beside + number * cell[0] + cell[0] // 2, above // 2
        draw.multiline_text(middle, lines, "black", font, anchor="mm", align="center")
    for number, lines in enumerate(left):
        middle = beside // 2, above + number * cell[1] + cell[1] // 2
        draw.multiline_text(middle, lines, "black", font, anchor="mm", align="center")
    return page


def _of_one_size(images: Sequence[Image.Image]) -> list[Image.Image]:
    size = cell_of([image.size for image in images])
    found: list[Image.Image] = []
    for image in images:
        place = Image.new("RGB", size, "white")
        place.paste(image, ((size[0] - image.width) // 2, (size[1] - image.height) // 2))
        found.append(place)
    return found


def _label(field: str, value: object) -> str:
    text = f"{value:g}" if isinstance(value, float) else "none" if value is None else str(value)
    if isinstance(value, Mapping):
        text = ", ".join(f"{key} {each}" for key, each in value.items())
    return f"{field}: {' '.join(text.split())}"


def _wrapped(text: str, font: "ImageFont.FreeTypeFont | ImageFont.ImageFont", width: int) -> str:
    """The text in up to _MOST_LINES lines of a width in pixels; what is left out is "…"."""
    lines: list[str] = []
    while text and len(lines) < _MOST_LINES:
        fitting = _fitting(text, font, width)
        if fitting < len(text):
            # after the last sign at which a word may end, if there is one
            fitting = max(text.rfind(end, 1, fitting) + 1 for end in _ENDS) or fitting
        lines.append(text[:fitting].strip())
        text = text[fitting:].lstrip()
    if text:
        lines[-1] = lines[-1][:-1] + "…"
    return "\n".join(lines)


def _fitting(text: str, font: "ImageFont.FreeTypeFont | ImageFont.ImageFont", width: int) -> int:
    """How many characters of the beginning of a text are within a width; at least one."""
    # of a long prompt no more than this can be within it
    count = min(len(text), max(1, width // 2))
    while count > 1 and font.getlength(text[:count]) > width:
        count -= 1
    return count


def _height(labels: Sequence[str], font: "ImageFont.FreeTypeFont | ImageFont.ImageFont") -> int:
    """Pixels of the highest of the labels."""
    draw = ImageDraw.Draw(Image.new("1", (1, 1)))
    boxes = (draw.multiline_textbbox((0, 0), label, font) for label in labels)
    return max(int(bottom - top) + 1 for _, top, _, bottom in boxes)
