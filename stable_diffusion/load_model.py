"""From a model's file or folder to a loaded `Model`.

A long-running process loads models with `loader.Loader`, which adds the weight cache.
"""

from dataclasses import replace
from pathlib import Path

import torch

from stable_diffusion.cuda.device_thread import thread_of, with_index
from stable_diffusion.families.family import Prediction
from stable_diffusion.model import HASH_DIGITS, Model
from stable_diffusion.networks import size_of
from stable_diffusion.weights.fingerprint import Fingerprints
from stable_diffusion.weights.model_files import vae_name
from stable_diffusion.weights.prediction import prediction_beside, zero_snr_beside
from stable_diffusion.weights.reading import (
    VaeFiles,
    Weights,
    read_weights,
)
from stable_diffusion.weights.small_vae_files import read_small_autoencoder


def load_model(
    path: Path,
    *,
    name: str,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    prediction: Prediction | None = None,
) -> Model:
    """Load a model, without network access. Long-running processes use `loader.Loader` instead.

    Args:
        path: a .safetensors or .ckpt file in the original layout, or a diffusers folder.
        name: its name in requests and results.
        prediction: see `build_model`.

    Raises:
        ModelNotFound, UnreadableModel: see `weights`.
    """
    target = with_index(device)
    vaes = VaeFiles.chosen(path, None)
    weights = vaes.add_small(read_weights(path, target, dtype, vae=vaes.full), dtype)
    fingerprint = Fingerprints().of(path)
    return build_model(weights, path, name=name, fingerprint=fingerprint, prediction=prediction)


def build_model(
    weights: Weights,
    path: Path,
    *,
    name: str,
    fingerprint: str,
    prediction: Prediction | None = None,
) -> Model:
    """Build a model from its weights.

    Args:
        path: the file or folder they were read from.
        fingerprint: their SHA-256.
        prediction: what a model of this name predicts when neither its file nor a configuration
            beside it says so; None: what its family usually does.

    Raises:
        UnreadableModel: the configuration beside the file cannot be read.
    """
    family = weights.family
    declared = prediction_beside(path) or weights.declared_prediction
    return Model(
        name=name,
        family=family,
        prediction=declared or prediction or family.prediction,
        hash=fingerprint[:HASH_DIGITS],
        networks=weights.networks,
        tokenizer=family.tokenizer(),
        device=weights.networks.unet.device,
        device_thread=thread_of(weights.networks.unet.device),
        nbytes=size_of(weights.networks),
        mapped=weights.mapped,
        vae=weights.vae,
        zero_snr=weights.zero_snr or zero_snr_beside(path),
    )


def with_small_autoencoder(model: Model, path: Path) -> Model:
    """The model with a small autoencoder in place of its own; they share all else.

    Args:
        model: has a full autoencoder.
        path: the file or folder of the small one.

    Raises:
        UnreadableModel: see `read_small_autoencoder`.
    """
    full = model.networks.full_vae
    small = read_small_autoencoder(path, model.family, full, full.device, full.dtype)
    shared = {weight.data_ptr() for weight in full.parameters()}
    own = (weight for weight in small.parameters() if weight.data_ptr() not in shared)
    return replace(
        model,
        networks=model.networks.with_parts(vae=small),
        vae=vae_name(path),
        nbytes=sum(weight.nbytes for weight in own),
    )
