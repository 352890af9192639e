"""The masks of a request: what is generated of an init image, and how it is put back into it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

from PIL import Image, ImageChops

from jobs.request import ImageToImage, Request
from stable_diffusion.masks import (
    Box,
    blurred,
    filled,
    fit_mask,
    masked_box,
    resized_mask,
)
from worker.execution.inputs import Inputs

_BLACK_WARNING = "mask: it is black everywhere, so the picture is the init image"


@dataclass(frozen=True)
class EditStep:
    """Prepares the inputs of a masked job, and puts its images back into the init image.

    Attributes:
        inputs: the init image and the mask in the size that is generated.
        canvas: the init image, with what `extend` adds, in the size of the result.
        mask: of the canvas, blurred.
        box: the part of the canvas that is generated.
    """

    inputs: Inputs
    canvas: Image.Image
    mask: Image.Image
    box: Box

    @classmethod
    def for_request(cls, request: Request, inputs: Inputs) -> Self | None:
        """The step for inputs as `read_inputs` returns them; None: the request has no mask."""
        if not (isinstance(request, ImageToImage) and request.masked):
            return None
        from stable_diffusion.image import fit  # noqa: PLC0415 - imports torch

        init, size = inputs["init"], (request.W, request.H)
        mask = inputs.get("mask") or Image.new("L", init.size)
        canvas, mask = _extended(request, fit(init, *size), fit_mask(mask, *size))
        mask = blurred(mask, request.mask_blur)
        whole = Box(0, 0, *canvas.size)
        box = masked_box(mask, request.mask_padding) if request.mask_area == "masked" else whole
        part, part_mask = canvas, mask
        if box != whole:
            part = canvas.resize(canvas.size, Image.Resampling.LANCZOS, box.corners)
            part_mask = resized_mask(mask.crop(box.corners), canvas.size)
        return cls({"init": part, "mask": part_mask}, canvas, mask, box)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user may not have meant."""
        return () if self.mask.getbbox() else (_BLACK_WARNING,)

    def after(self, image: Image.Image) -> Image.Image:
        """A generated image in its place on the canvas, which stays where the mask is 0."""
        return Image.composite(self._placed(image, self.canvas), self.canvas, self._opacity)

    def preview(self, image: Image.Image) -> Image.Image:
        """A small image of what is generated, as a small one of the whole."""
        small = self.canvas.resize(image.size, Image.Resampling.BOX)
        return self._placed(image, small)

    @cached_property
    def _opacity(self) -> Image.Image:
        """How much of the generated image is seen: all of it from the middle of the mask's edge.

        AUTOMATIC1111's overlay is doubled as well, so that an edge between kept and generated
        latents is never seen through the other.
        """
        return self.mask.point([min(255, 2 * value) for value in range(256)])

    def _placed(self, image: Image.Image, canvas: Image.Image) -> Image.Image:
        """The canvas, of any scale, with the image in the box."""
        if self.box.size == self.canvas.size:
            return image
        share = canvas.width / self.canvas.width, canvas.height / self.canvas.height
        left, top, right, bottom = (
            round(edge * share[number % 2]) for number, edge in enumerate(self.box.corners)
        )
        size = max(1, right - left), max(1, bottom - top)
        placed = canvas.copy()
        placed.paste(image.resize(size, Image.Resampling.LANCZOS), (left, top))
        return placed


def _extended(
    request: ImageToImage, image: Image.Image, mask: Image.Image
) -> tuple[Image.Image, Image.Image]:
    """An image with what the request adds around it, made of its surroundings; and its mask."""
    if request.sampled_size == image.size:
        return image, mask
    left, top, *_ = request.added
    canvas = Image.new("RGB", request.sampled_size)
    canvas.paste(image, (left, top))
    border = Image.new("L", canvas.size, 255)
    border.paste(0, (left, top, left + image.width, top + image.height))
    inner = Image.new("L", canvas.size)
    inner.paste(mask, (left, top))
    return filled(canvas, border), ImageChops.lighter(border, inner)
