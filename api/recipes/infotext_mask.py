"""What an infotext says about a mask, whose picture it does not hold."""

from api.recipes.draft import Draft
from api.recipes.infotext_fields import value_of

_CONTENT = {
    "original": "original",
    "fill": "fill",
    "latent noise": "noise",
    "latent nothing": "latent_nothing",
}
_NUMBERS = {"Mask blur": "mask_blur", "Masked area padding": "mask_padding"}
_CHOICES = {
    "Mask mode": ("mask_invert", {"Inpaint masked": False, "Inpaint not masked": True}),
    "Inpaint area": ("mask_area", {"Whole picture": "whole", "Only masked": "masked"}),
    "Masked content": ("mask_fill", _CONTENT),
}
_SIDES = ("left", "right", "top", "bottom")


def put_mask(draft: Draft, settings: dict[str, str]) -> None:
    """Take the settings of a mask out of those of an infotext, and set their fields."""
    extend: dict[str, object] = {}
    for side in _SIDES:
        if pixels := settings.pop(f"Extend {side}", None):
            extend[side] = value_of(pixels)
    if extend:
        draft.put("extend", extend, "Extend")
    elif "Mask blur" in settings:
        draft.skip("mask", "", "a picture does not hold the mask that it was made with")
    for name in [name for name in settings if name in _NUMBERS]:
        written = settings.pop(name)
        draft.put(_NUMBERS[name], value_of(written), name, written)
    for name, (native, choices) in _CHOICES.items():
        if (written := settings.pop(name, None)) is not None:
            draft.put(native, choices.get(written, written), name, written)
