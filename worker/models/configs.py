"""The request's `config`, for models of which nobody else says what they predict."""

from dataclasses import replace

from jobs.names import CONFIGS, network_kind
from stable_diffusion.model import Model


def configured(model: Model, config: str | None) -> tuple[Model, tuple[str, ...]]:
    """The model as a request's configuration describes it, and a warning where it cannot be.

    A configuration tells whether a model predicts the noise or v. Of a model that is known by its
    name that is known, and of another family's it says nothing.

    Args:
        config: as the request names it.
    """
    if config is None:
        return model, ()
    described = CONFIGS[config]
    known = network_kind(model.name)
    if known == described:
        return model, ()
    if known or described.removesuffix("-v") != model.family.configuration:
        return model, (f"config: {config} does not fit the model {model.name}; its own was used",)
    return replace(model, prediction="v" if described == "v2-v" else "epsilon"), ()
