"""The installed model and autoencoder that a recipe means."""

from collections.abc import Collection

from api.recipes.draft import Draft
from jobs.infotext.setting import json_of
from jobs.names import find_name
from jobs.served import Served

_HASH_DIGITS = 10
"""A1111 writes as many of the SHA-256; older versions wrote 8 digits of another digest."""
OWN_VAE = "None"
"""What A1111 calls the autoencoder in the model's own file."""
NOT_INSTALLED = "is not installed"


def put_model(draft: Draft, name: str, digits: str, served: Served, written: str = "Model") -> None:
    """Set `ckpt` to the installed model with a hash, or else with a name.

    Args:
        name: of the model; empty: not written.
        digits: the first ones of its SHA-256; empty: not written.
        served: what is installed.
        written: what the picture calls it.
    """
    if model := _with_hash(digits, served):
        draft.put("ckpt", model, written, name)
        return
    model = find_name(name, served.models) if name else None
    if model is None:
        if name or digits:
            draft.skip(written, f"{name} [{digits}]" if digits else name, NOT_INSTALLED)
        return
    draft.put("ckpt", model, written, name)
    known = served.hashes.get(model, "")
    if known and len(digits) >= _HASH_DIGITS:
        draft.skip(
            "Model hash", digits, f"the installed {model} is another one: its hash is {known}"
        )


def put_refiner(draft: Draft, written: str, share: str, served: Served) -> None:
    """Set `refiner` to the installed model of a name, with or without a hash behind it.

    Args:
        written: as AUTOMATIC1111 writes it: `sd_xl_refiner_1.0 [7440042bbd]`.
        share: when it goes on; empty: not written.
    """
    name, _, digits = written.removesuffix("]").partition(" [")
    model = _with_hash(digits, served) or find_name(name, served.models)
    if model is None:
        draft.skip("Refiner", written, NOT_INSTALLED)
        return
    # without a share AUTOMATIC1111 has it draw everything
    draft.put("refiner", {"ckpt": model, "switch_at": json_of(share or "0")}, "Refiner", written)


def put_vae(draft: Draft, name: str, installed: Collection[str], written: str = "VAE") -> None:
    """Set `vae` to the installed autoencoder of a name; OWN_VAE: to null, also over defaults."""
    if name == OWN_VAE:
        draft.put("vae", None, written, name)
    elif found := find_name(name, installed):
        draft.put("vae", found, written, name)
    else:
        draft.skip(written, name, NOT_INSTALLED)


def _with_hash(digits: str, served: Served) -> str | None:
    return served.model_with_hash(digits) if len(digits) >= _HASH_DIGITS else None
