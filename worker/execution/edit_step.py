"""The masks of a request: what is generated of an init image, and how it is put back into it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

from PIL import Image, ImageChops

from jobs.validation.request import ImageToImage, Request
from stable_diffusion.masked_area import MaskedArea
from stable_diffusion.masks import blurred, filled, fit_mask
from worker.execution.inputs import Inputs

_BLACK_WARNING = "mask: it is black everywhere, so the picture is the init image"
_MAX_PREVIEW_SIDE = 256
"""Of a picture of which only a part is generated; a preview of what is generated has less."""


@dataclass(frozen=True)
class EditStep:
    """Prepares the inputs of a masked job, and puts its images back into the init image.

    Attributes:
        inputs: the init image and the mask in the size that is generated.
        canvas: the init image, with what `extend` adds, in the size of the result.
        mask: of the canvas, blurred.
        area: the part of the canvas that is generated; None: all of it.
    """

    inputs: Inputs
    canvas: Image.Image
    mask: Image.Image
    area: MaskedArea | None

    @classmethod
    def for_request(cls, request: Request, inputs: Inputs) -> Self | None:
        """The step for inputs as `read_inputs` returns them; None: the request has no mask."""
        if not (isinstance(request, ImageToImage) and request.masked):
            return None
        from stable_diffusion.image import fit  # noqa: PLC0415 - imports torch

        init = inputs["init"]
        mask = inputs.get("mask") or Image.new("L", init.size)
        if request.only_masked:
            init = init.convert("RGB")
        else:
            init = fit(init, request.W, request.H)
            mask = fit_mask(mask, *init.size)
        canvas, mask = _extended(request, init, mask)
        mask = blurred(mask, request.mask_blur)
        if not request.only_masked:
            return cls({"init": canvas, "mask": mask}, canvas, mask, None)
        area = MaskedArea.around(mask, request.mask_padding, request.sampled_size)
        return cls({"init": area.image(canvas), "mask": area.mask(mask)}, canvas, mask, area)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user may not have meant."""
        return () if self.mask.getbbox() else (_BLACK_WARNING,)

    def after(self, image: Image.Image) -> Image.Image:
        """A generated image in its place on the canvas, which stays where the mask is 0."""
        placed = self.area.put_back(image, self.canvas, 1) if self.area else image
        return Image.composite(placed, self.canvas, self._opacity)

    def preview(self, image: Image.Image) -> Image.Image:
        """A small image of what is generated, an eighth as large, as a small one of the whole."""
        if not self.area:
            return image
        scale = min(1 / 8, _MAX_PREVIEW_SIDE / max(self.canvas.size))
        return self.area.put_back(image, self._small(scale), scale)

    def _small(self, scale: float) -> Image.Image:
        size = [max(1, round(scale * side)) for side in self.canvas.size]
        return self.canvas.resize((size[0], size[1]), Image.Resampling.BOX)

    @cached_property
    def _opacity(self) -> Image.Image:
        """How much of the generated image is seen: all of it from the middle of the mask's edge.

        AUTOMATIC1111's overlay is doubled as well, so that an edge between kept and generated
        latents is never seen through the other.
        """
        return self.mask.point([min(255, 2 * value) for value in range(256)])


def _extended(
    request: ImageToImage, image: Image.Image, mask: Image.Image
) -> tuple[Image.Image, Image.Image]:
    """An image with what the request adds around it, made of its surroundings; and its mask."""
    left, top, right, bottom = request.added
    if not any(request.added):
        return image, mask
    canvas = Image.new("RGB", (left + image.width + right, top + image.height + bottom))
    canvas.paste(image, (left, top))
    border = Image.new("L", canvas.size, 255)
    border.paste(0, (left, top, left + image.width, top + image.height))
    inner = Image.new("L", canvas.size)
    inner.paste(mask, (left, top))
    return filled(canvas, border), ImageChops.lighter(border, inner)
