"""What other tools call the parameters, for the suggestion in a fault.

Sources: the request fields of AUTOMATIC1111's and OpenAI's APIs and the arguments of diffusers'
pipelines. Names are in snake case: `snake_case` converts `cfgScale` and `n-iter`.
"""

import re

_WORD_ENDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[\s-]+")

FOREIGN_FIELDS: dict[str, str] = {
    "width": "W",
    "height": "H",
    "steps": "ddim_steps",
    "num_steps": "ddim_steps",
    "num_inference_steps": "ddim_steps",
    "inference_steps": "ddim_steps",
    "sampling_steps": "ddim_steps",
    "guidance_scale": "scale",
    "guidance": "scale",
    "cfg": "scale",
    "cfg_scale": "scale",
    "batch_size": "n_samples",
    "num_images_per_prompt": "n_samples",
    "num_images": "n_samples",
    "num_outputs": "n_samples",
    "n": "n_samples",
    "batch_count": "n_iter",
    "n_images": "n_iter",
    "iterations": "n_iter",
    "random_seed": "seed",
    "strength": "denoising_strength",
    "image_strength": "denoising_strength",
    "denoising": "denoising_strength",
    "denoise": "denoising_strength",
    "prompt_strength": "denoising_strength",
    "image": "init_img",
    "init_image": "init_img",
    "init_images": "init_img",
    "input_image": "init_img",
    "images": "init_img",
    "mask_image": "mask",
    "inpaint_mask": "mask",
    "inpainting_mask_invert": "mask_invert",
    "inpainting_fill": "mask_fill",
    "inpaint_full_res": "mask_area",
    "only_masked": "mask_area",
    "inpaint_full_res_padding": "mask_padding",
    "outpaint": "extend",
    "image_cfg_scale": "image_scale",
    "image_guidance_scale": "image_scale",
    "sampler_name": "sampler",
    "sampler_index": "sampler",
    "scheduler_name": "scheduler",
    "schedule_type": "scheduler",
    "subseed": "variation_seed",
    "subseed_strength": "variation_strength",
    "cfg_rescale": "guidance_rescale",
    "rescale_cfg": "guidance_rescale",
    "model": "ckpt",
    "model_id": "ckpt",
    "model_name": "ckpt",
    "checkpoint": "ckpt",
    "sd_model_checkpoint": "ckpt",
    "sd_vae": "vae",
    "vae_name": "vae",
    "hr_scale": "hires_scale",
    "hr_resize_x": "hires_width",
    "hr_resize_y": "hires_height",
    "hr_second_pass_steps": "hires_steps",
    "hr_upscaler": "hires_upscaler",
    "hr_prompt": "hires_prompt",
    "hr_negative_prompt": "hires_negative_prompt",
    "hr_sampler_name": "hires_sampler",
    "hr_scheduler": "hires_scheduler",
    "text": "prompt",
    "negative": "negative_prompt",
    "output_format": "format",
    "webhook_url": "webhook",
    "callback_url": "webhook",
    "sync": "synchronous_request",
    "synchronous": "synchronous_request",
}
_SIZE = "W and H, in pixels"
_LORA = "a LoRA in the prompt: <lora:name:0.8>"
REMEDIES: dict[str, str] = {
    "size": _SIZE,
    "image_size": _SIZE,
    "resolution": _SIZE,
    "aspect_ratio": _SIZE,
    "lora": _LORA,
    "loras": _LORA,
    "lora_weights": _LORA,
    "key": "api_key, or the header X-API-Key",
    "api_key": "api_key, or the header X-API-Key",
}
"""What to send in place of what is no field here."""


def snake_case(name: str) -> str:
    """The name as this API would write it, in lower case."""
    return _WORD_ENDS.sub("_", name.strip()).lower()
