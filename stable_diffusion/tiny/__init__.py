"""The shipped models, small enough for the repository; `make train` trains them on its drawings."""

from pathlib import Path

FOLDER = Path(__file__).parent
PATH = FOLDER / "tiny.safetensors"
"""The networks of Stable Diffusion 1 in small; predicts the noise."""
PATH_V2 = FOLDER / "tiny-v2.safetensors"
"""The networks of Stable Diffusion 2 in small; predicts v."""
PATH_INPAINT = FOLDER / "tiny-inpaint.safetensors"
"""tiny, with a mask and what surrounds it as further inputs."""
PATH_XL = FOLDER / "tiny-xl.safetensors"
"""The networks of Stable Diffusion XL in small: two text encoders, pooled text and sizes."""
PATHS = (PATH, PATH_V2, PATH_INPAINT, PATH_XL)
LORA_PATHS = (FOLDER / "tiny-fast.safetensors",)
"""tiny in four steps without guidance; `tiny.toml` makes a preset of it."""
UPSCALER_PATH = FOLDER / "upscaler-x2.safetensors"
"""A small RRDBNet with scale 2, in Real-ESRGAN's layout."""
SMALL_DECODER_PATH = FOLDER / "taesd-tiny.safetensors"
"""A small autoencoder for the latents of all of `PATHS`, with the tensor names of diffusers."""
