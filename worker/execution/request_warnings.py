"""What this worker cannot honour to the letter, told to the client as warnings."""

from jobs.request import Request
from jobs.schemas import Standard


def warnings_of(request: Request, *, device: str) -> tuple[str, ...]:
    """What this worker cannot honour to the letter, a sentence each.

    Args:
        request: what was asked for.
        device: where this worker computes, `cpu` or `cuda:N`.
    """
    return tuple(
        warning
        for warning in (
            _device_warning(request.device, device),
            _laion_warning(request),
        )
        if warning
    )


def _laion_warning(request: Request) -> str:
    asked = isinstance(request, Standard) and request.laion400m
    return "laion400m: that model is not available; it had no effect" if asked else ""


def _device_warning(asked: str | None, device: str) -> str:
    if asked is None or asked == device or (asked == "cuda" and device.startswith("cuda")):
        return ""
    if device == "cpu":
        return (
            f"device: {asked} was asked for; this worker has no CUDA device, so it ran on the CPU"
        )
    return f"device: {asked} was asked for; this worker runs on {device}"
