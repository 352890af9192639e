"""What this worker cannot honour to the letter, told to the client as warnings."""

from jobs.names import CONFIGS, network_kind
from jobs.request import ImageToImage, Request


def warnings_of(request: Request, *, model: str, device: str) -> tuple[str, ...]:
    """What this worker cannot honour to the letter, a sentence each.

    Args:
        request: what was asked for.
        model: the name of the model that is used.
        device: where this worker computes, `cpu` or `cuda:N`.
    """
    return tuple(
        warning
        for warning in (
            _device_warning(request.device, device),
            _config_warning(request.config, model),
            _upscale_warning(request),
            "laion400m: that model is not available; it had no effect" * request.laion400m,
        )
        if warning
    )


def _device_warning(asked: str | None, device: str) -> str:
    if asked is None or asked == device or (asked == "cuda" and device.startswith("cuda")):
        return ""
    if device == "cpu":
        return (
            f"device: {asked} was asked for; this worker has no CUDA device, so it ran on the CPU"
        )
    return f"device: {asked} was asked for; this worker runs on {device}"


def _config_warning(config: str | None, model: str) -> str:
    kind = network_kind(model)
    if config is None or kind is None or CONFIGS[config] == kind:
        return ""
    return f"config: {config} does not fit the model {model}; the model's own was used"


def _upscale_warning(request: Request) -> str:
    if isinstance(request, ImageToImage) and (request.upscale or request.post_upscale):
        return "upscale, post_upscale: no upscaler is installed; the pictures were not upscaled"
    return ""
