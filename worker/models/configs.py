"""The request's `config`, for models whose prediction type nothing else states."""

from dataclasses import replace

from jobs.names import CONFIGS, network_kind
from stable_diffusion.model import Model


def with_config(model: Model, config: str | None) -> tuple[Model, tuple[str, ...]]:
    """The model with the prediction type of a configuration file, and a warning if it cannot apply.

    A configuration says whether a model predicts the noise or v. It is ignored for a model whose
    prediction type is known by name, and for a model of another family.

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
    return replace(model, prediction="v" if described.endswith("-v") else "epsilon"), ()
