"""What a UNet takes beside the noisy latents: nothing, a mask and its surroundings, or an image.

Sources: Rombach et al. 2022 (arXiv:2112.10752), section 4.5, as the inpainting checkpoints have it;
Brooks et al. 2023 (InstructPix2Pix, arXiv:2211.09800), section 3.2. What stands in for an image or
a mask that a job does not have is AUTOMATIC1111's (`txt2img_image_conditioning`).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from stable_diffusion.errors import RecipeError

if TYPE_CHECKING:
    from torch import Tensor

    from stable_diffusion.families.family import Latents

Encode = Callable[["Tensor"], "Tensor"]
"""An image (3, H, W) in -1..1 to its latents (C, h, w) at unit variance."""


class UNetInputs:
    """The noisy latents alone.

    Attributes:
        suffix: what is appended to the id of a family for its models with these inputs.
        image_guided: whether the further channels have a guidance of their own, see
            `guidance.guided_prediction`.
        keeps_unmasked: whether the network itself keeps what a mask leaves.
        needs_image: whether `concat` cannot do without an image.
    """

    suffix: str = ""
    image_guided: bool = False
    keeps_unmasked: bool = False
    needs_image: bool = False

    def channels(self, latents: "Latents") -> int:  # noqa: ARG002
        """How many channels the UNet takes beside the latents."""
        return 0

    def concat(
        self,
        encode: Encode,  # noqa: ARG002
        latents: "Latents",  # noqa: ARG002
        size: tuple[int, int],  # noqa: ARG002
        image: "Tensor | None",  # noqa: ARG002
        mask: "Tensor | None",  # noqa: ARG002
    ) -> "Tensor | None":
        """Those channels, (1, K, h, w) float32 on the CPU; None: there are none.

        Args:
            encode: the model's autoencoder.
            latents: the space of its latents.
            size: width and height in pixels.
            image: (3, H, W) in -1..1; None: text to image.
            mask: (1, H, W) in 0..1, where 1 is drawn anew; None: all of it.

        Raises:
            RecipeError: they cannot be made without an image.
        """
        return None


class Inpainting(UNetInputs):
    """The mask, and the latents of the image with 0 (grey) in place of what is masked.

    The mask is rounded to 0 and 1, since the networks were trained with these; for a latent that of
    its first pixel counts, as in diffusers and AUTOMATIC1111. Both keep it apart from how much of
    the image is put back, and so does this engine.
    """

    suffix = "inpaint"
    keeps_unmasked = True

    def channels(self, latents: "Latents") -> int:
        return 1 + latents.channels

    def concat(
        self,
        encode: Encode,
        latents: "Latents",
        size: tuple[int, int],
        image: "Tensor | None",
        mask: "Tensor | None",
    ) -> "Tensor":
        import torch  # noqa: PLC0415 - the table of families is imported without it

        width, height = size
        if image is None:
            image = torch.zeros(3, height, width)
        hidden = torch.ones(1, height, width) if mask is None else (mask >= 0.5).float()
        small = hidden[:, :: latents.factor, :: latents.factor]
        return torch.cat([small, encode(image * (1 - hidden))])[None]


class Instruction(UNetInputs):
    """The latents of the image that the prompt says how to change, without their usual scale."""

    suffix = "instruct"
    image_guided = True
    needs_image = True

    def channels(self, latents: "Latents") -> int:
        return latents.channels

    def concat(
        self,
        encode: Encode,
        latents: "Latents",
        size: tuple[int, int],  # noqa: ARG002
        image: "Tensor | None",
        mask: "Tensor | None",  # noqa: ARG002
    ) -> "Tensor":
        if image is None:
            raise RecipeError(
                "the model changes an image by an instruction, and the job has none: send it to "
                "img2img with an init image"
            )
        return (encode(image) / latents.scale)[None]


LATENTS_ONLY = UNetInputs()
INPAINTING = Inpainting()
INSTRUCTION = Instruction()
