"""The icons, in a square from (-1, -1) at the top left to (1, 1) at the bottom right.

Every detail is at least a tenth of the icon wide: the autoencoder has one latent for 8x8 pixels and
would lose finer lines.
"""

import math
from collections.abc import Callable, Sequence

from PIL import ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]


def mix(colour: Colour, other: Colour, share: float) -> Colour:
    """Linear mix: `share` (0..1) is that of `other`."""
    red, green, blue = (
        round(a * (1 - share) + b * share) for a, b in zip(colour, other, strict=True)
    )
    return red, green, blue


class Brush:
    """Draws shapes of the unit square at a position and size of the canvas, in canvas pixels."""

    def __init__(
        self, canvas: ImageDraw.ImageDraw, x: float, y: float, half_side: float, colour: Colour
    ) -> None:
        self.canvas, self.x, self.y, self.half_side = canvas, x, y, half_side
        self.colour = colour
        light = sum(colour) > 600
        self.shade = mix(colour, (0, 0, 0), 0.3 if light else 0.42)
        self.tint = mix(colour, (255, 255, 255), 0.6)
        self.dark: Colour = (30, 24, 24) if sum(colour) > 150 else (235, 235, 235)

    def _at(self, point: Point) -> Point:
        return self.x + point[0] * self.half_side, self.y + point[1] * self.half_side

    def polygon(self, points: Sequence[Point], colour: Colour | None = None) -> None:
        self.canvas.polygon([self._at(p) for p in points], fill=colour or self.colour)

    def ellipse(
        self, x: float, y: float, rx: float, ry: float, colour: Colour | None = None
    ) -> None:
        self.canvas.ellipse(
            [self._at((x - rx, y - ry)), self._at((x + rx, y + ry))], fill=colour or self.colour
        )

    def line(self, points: Sequence[Point], width: float, colour: Colour) -> None:
        self.canvas.line(
            [self._at(p) for p in points],
            fill=colour,
            width=max(1, round(width * self.half_side)),
            joint="curve",
        )

    def hole(self, x: float, y: float, radius: float, width: float) -> None:
        """A ring in the brush's colour: outer `radius`, `width` thick."""
        box = [self._at((x - radius, y - radius)), self._at((x + radius, y + radius))]
        self.canvas.ellipse(box, outline=self.colour, width=round(width * self.half_side))


def circle(brush: Brush) -> None:
    brush.ellipse(0, 0, 0.95, 0.95)


def square(brush: Brush) -> None:
    brush.polygon([(-0.86, -0.86), (0.86, -0.86), (0.86, 0.86), (-0.86, 0.86)])


def triangle(brush: Brush) -> None:
    brush.polygon([(0, -0.95), (1, 0.85), (-1, 0.85)])


def star(brush: Brush) -> None:
    turns = [(-90 + 36 * i, 1.05 if i % 2 == 0 else 0.45) for i in range(10)]
    brush.polygon(
        [(r * math.cos(math.radians(a)), r * math.sin(math.radians(a)) + 0.08) for a, r in turns]
    )


def heart(brush: Brush) -> None:
    brush.ellipse(-0.46, -0.36, 0.5, 0.5)
    brush.ellipse(0.46, -0.36, 0.5, 0.5)
    brush.polygon([(-0.89, -0.1), (-0.4, -0.5), (0.4, -0.5), (0.89, -0.1), (0, 0.95)])


def ring(brush: Brush) -> None:
    brush.hole(0, 0, 0.97, 0.4)


def cat(brush: Brush) -> None:
    brush.polygon([(-0.9, -1), (-0.15, -0.55), (-0.85, 0.1)])
    brush.polygon([(0.9, -1), (0.15, -0.55), (0.85, 0.1)])
    brush.ellipse(0, 0.15, 0.92, 0.8)
    for side in (-1, 1):
        brush.ellipse(0.36 * side, -0.02, 0.2, 0.24, (250, 250, 250))
        brush.ellipse(0.36 * side, -0.02, 0.11, 0.18, (30, 24, 24))
    brush.ellipse(0, 0.5, 0.4, 0.26, brush.tint)
    brush.polygon([(-0.16, 0.32), (0.16, 0.32), (0, 0.52)], (240, 120, 140))


def duck(brush: Brush) -> None:
    beak = (250, 130, 20) if brush.colour != (248, 136, 24) else (222, 60, 30)
    brush.polygon([(-1.0, 0.0), (-0.5, 0.2), (-0.35, 0.75)])
    brush.ellipse(-0.08, 0.4, 0.78, 0.5)
    brush.polygon([(0.1, -0.4), (0.75, -0.4), (0.66, 0.4), (0.1, 0.3)])
    brush.ellipse(0.42, -0.48, 0.42, 0.42)
    brush.polygon([(0.76, -0.62), (1.08, -0.4), (0.76, -0.24)], beak)
    brush.ellipse(0.5, -0.56, 0.12, 0.12, brush.dark)
    brush.ellipse(-0.14, 0.38, 0.42, 0.24, brush.shade)


def dragon(brush: Brush) -> None:
    # wing behind, tail, body, legs, neck, head, back spikes
    brush.polygon(
        [(-0.2, 0.1), (-0.75, -0.95), (-0.2, -0.62), (0.0, -1.0), (0.25, 0.05)], brush.shade
    )
    brush.polygon(
        [(-0.35, 0.25), (-1.05, 0.62), (-0.95, 0.2), (-1.1, 0.05), (-0.7, 0.05), (-0.2, 0.7)]
    )
    brush.ellipse(-0.02, 0.4, 0.56, 0.4)
    brush.polygon([(-0.42, 0.55), (-0.1, 0.55), (-0.14, 1.0), (-0.46, 1.0)])
    brush.polygon([(0.16, 0.55), (0.48, 0.5), (0.5, 1.0), (0.18, 1.0)])
    brush.polygon([(0.1, 0.3), (0.28, -0.55), (0.66, -0.5), (0.52, 0.55)])
    brush.polygon(
        [(0.2, -0.9), (0.62, -0.85), (1.08, -0.55), (1.05, -0.32), (0.4, -0.3), (0.2, -0.5)]
    )
    brush.polygon([(0.22, -0.75), (0.02, -1.02), (0.44, -0.88)], brush.shade)
    brush.ellipse(0.52, -0.63, 0.11, 0.11, (252, 240, 120))
    brush.ellipse(0.04, 0.5, 0.28, 0.24, brush.tint)


def guitar(brush: Brush) -> None:
    brush.polygon([(-0.13, -0.75), (0.13, -0.75), (0.13, 0.1), (-0.13, 0.1)], brush.shade)
    brush.polygon([(-0.24, -1.03), (0.24, -1.03), (0.18, -0.7), (-0.18, -0.7)], brush.shade)
    brush.ellipse(0, 0.1, 0.44, 0.38)
    brush.ellipse(0, 0.56, 0.6, 0.46)
    brush.ellipse(0, 0.22, 0.17, 0.17, brush.dark)
    brush.polygon([(-0.26, 0.6), (0.26, 0.6), (0.26, 0.74), (-0.26, 0.74)], brush.dark)


def house(brush: Brush) -> None:
    brush.polygon([(-0.76, -0.15), (0.76, -0.15), (0.76, 0.98), (-0.76, 0.98)])
    brush.polygon([(0, -1.0), (1.02, -0.1), (-1.02, -0.1)], brush.shade)
    brush.polygon([(-0.2, 0.42), (0.2, 0.42), (0.2, 0.98), (-0.2, 0.98)], brush.shade)
    for side in (-1, 1):
        x = 0.48 * side
        brush.polygon(
            [(x - 0.15, 0.1), (x + 0.15, 0.1), (x + 0.15, 0.4), (x - 0.15, 0.4)], (250, 226, 120)
        )


def tree(brush: Brush) -> None:
    trunk = (112, 66, 34) if brush.colour != (112, 66, 34) else (60, 36, 20)
    brush.polygon([(-0.15, 0.4), (0.15, 0.4), (0.15, 1.0), (-0.15, 1.0)], trunk)
    brush.polygon([(0, -0.35), (0.86, 0.6), (-0.86, 0.6)])
    brush.polygon([(0, -1.02), (0.64, -0.05), (-0.64, -0.05)])


ICON_DRAWINGS: dict[str, Callable[[Brush], None]] = {
    drawing.__name__: drawing
    for drawing in (
        circle, square, triangle, star, heart, ring, cat, duck, dragon, guitar, house, tree
    )
}  # fmt: skip
