"""What a request asks for in vain: OpenAI's fields that mean nothing to Stable Diffusion."""

from collections.abc import Iterator, Mapping
from typing import Any

from api.dialects.openai.images_of_edit import EditedImages
from api.dialects.openai.request_models import EditOptions, ImageOptions

ALWAYS = {
    "style": "describe the style in the prompt",
    "moderation": "nothing is moderated here",
    "complexity": "there is nothing to plan: choose steps or quality",
    "frame_count": "only pictures without animation are made",
    "frame_duration_ms": "only pictures without animation are made",
    "svg": "only pixels are made",
}
"""Field → why it does nothing, whatever its value."""


def no_effect(
    options: ImageOptions, sent: Mapping[str, Any], edited: EditedImages | None
) -> Iterator[str]:
    """A warning for each field that has another value than its default, and changes nothing."""
    for field, reason in ALWAYS.items():
        if getattr(options, field) != ImageOptions.model_fields[field].default:
            yield f"{field}: it has no effect: {reason}"
    if options.output_compression not in (None, 100) and options.output_format == "png":
        yield "output_compression: it has no effect: a PNG has no quality"
    if options.background == "transparent":
        yield "background: the images are opaque: the models generate no transparency"
    if options.partial_images and not options.stream:
        yield "partial_images: it has no effect without stream"
    if options.stream and options.response_format == "url":
        yield "response_format: a stream carries the images as base64"
    if options.steps is not None and options.quality != "auto":
        yield "quality: it has no effect: steps was sent as well"
    if options.user and options.safety_identifier:
        yield "user: it has no effect: safety_identifier replaces it"
    if not edited:
        return
    if isinstance(options, EditOptions) and options.input_fidelity == "high" and "strength" in sent:
        yield "input_fidelity: it has no effect: strength was sent as well"
    if edited.markup:
        yield "markup: it has no effect: there is no image of hints"
    if len(edited.images) > 1:
        yield f"image: only the first of {len(edited.images)} is edited; the others are not used"
