"""The schedulers that AUTOMATIC1111 uses for a sampler when the scheduler is `Automatic`."""

AUTOMATIC_SCHEDULERS = {
    "DPM++ 2M": "karras",
    "DPM++ SDE": "karras",
    "DPM++ 2M SDE": "exponential",
    "DPM++ 3M SDE": "exponential",
    "DPM++ 2M SDE Heun": "exponential",
    "DPM++ 2S a": "karras",
    "Restart": "karras",
    "DPM2": "karras",
    "DPM2 a": "karras",
}
"""Label of a sampler → key of its scheduler, since version 1.9; no row: the sampler's own."""
