"""A Stable Diffusion engine: a recipe in, pictures out."""
