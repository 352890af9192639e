"""Loads models for a long-running process, with their fingerprints and the weight cache.

A model that the weight cache lacks is written to it while it is read, and mapped from there: memory
never holds it. An unknown fingerprint is computed beside.
"""

import hashlib
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from stable_diffusion import half_precision
from stable_diffusion.cuda.device_thread import thread_of, with_index
from stable_diffusion.cuda.graphs import Graphs
from stable_diffusion.errors import UnreadableModel
from stable_diffusion.families.family import Prediction
from stable_diffusion.load_model import build_model
from stable_diffusion.model import Model
from stable_diffusion.networks import parts_of, sizes_of
from stable_diffusion.offload.offload_cache import MAX_PINNED_BYTES, OffloadCache
from stable_diffusion.step_batching import StepBatcher
from stable_diffusion.unet_kind import UNetKind
from stable_diffusion.weights.detection import detect_family
from stable_diffusion.weights.fingerprint import Fingerprints, file_signature
from stable_diffusion.weights.prediction import declared_prediction
from stable_diffusion.weights.reading import VaeFiles, Weights, open_weights, read_weights
from stable_diffusion.weights.state_dict_loading import (
    Place,
    described_networks,
    exact_unet,
    kept_types,
)
from stable_diffusion.weights.weight_cache import WeightCache

CPU = torch.device("cpu")


@dataclass(frozen=True)
class ModelDescription:
    """What is known of a model before it is loaded.

    Attributes:
        family: its family's id.
        kind: the id, with a prediction that is not the family's usual one appended: `sd2-v`.
        native_size: side in pixels of the images it was trained on.
        unet: what its UNet samples.
        cost: see `Family`.
    """

    family: str
    kind: str
    native_size: int
    unet: UNetKind
    cost: float = 1.0


class Loader:
    """Loads models to one device. Safe to share between threads.

    Args:
        device: on which the models compute.
        fingerprints: of the models that are known.
        cache: the weight cache; None: none is used.
        dtype: type of weights in full precision.
        max_concurrent: of each model's step batcher; 0: jobs share no evaluations.
        graphs: record evaluations of models on a GPU as CUDA graphs.
        max_unet_bytes: bytes of an offloaded model's UNet that may be on a GPU at once; 0: all.
        max_pinned_bytes: see `OffloadCache`.
    """

    def __init__(
        self,
        device: str,
        fingerprints: Fingerprints,
        cache: WeightCache | None = None,
        dtype: torch.dtype = torch.float32,
        max_concurrent: int = 0,
        *,
        graphs: bool = True,
        max_unet_bytes: int = 0,
        max_pinned_bytes: int = MAX_PINNED_BYTES,
    ) -> None:
        self._device = with_index(device)
        self._fingerprints = fingerprints
        self._cache = cache
        self._dtype = dtype
        self._max_concurrent = max_concurrent
        self._graphs = graphs and self._device.type == "cuda"
        self._max_unet_bytes = max_unet_bytes
        self._offload_cache = (
            OffloadCache(max_unet_bytes or None, self._device, max_pinned_bytes)
            if self._device.type == "cuda"
            else None
        )

    def load(
        self,
        name: str,
        path: Path,
        *,
        prediction: Prediction | None = None,
        vae: Path | None = None,
        offloaded: bool = False,
        full: bool = False,
        on_progress: Callable[[float], object] = lambda _share: None,
    ) -> Model:
        """Load a model.

        Args:
            name, path, prediction: as of `load_model`.
            vae: the file or folder of another autoencoder; None: that beside it, else its own.
            offloaded: keep the weights in main memory; see `memory_plan`.
            full: for jobs with `precision: full`; see `unet_type`.
            on_progress: called with the share that is loaded, 0..1.

        Raises:
            ModelNotFound, UnreadableModel.
        """
        storage = CPU if offloaded else self._device
        cache = self._cache if storage == CPU else None
        vaes = VaeFiles.chosen(path, vae)
        dtype = self.unet_type(path, offloaded=offloaded, full=full)
        read = partial(
            read_weights,
            path,
            storage,
            self._dtype,
            on_progress,
            unet_dtype=dtype,
            vae=vaes.full,
        )
        files = [path] if vaes.full is None else [path, vaes.full]
        before = [file_signature(file) for file in files]
        entry = self._entry(path, vaes.full if cache else None)
        weights = cache.open(entry.result(), dtype) if cache and entry.done() else None
        if weights is None and cache:
            size = sum(self._sizes(path, CPU, dtype).values())

            def read_once(place: Place) -> Weights:
                found = read(place=place)
                entry.result()
                if before != [file_signature(file) for file in files]:
                    # others would take these weights for those of the fingerprint
                    raise OSError(f"{path.name} was replaced while it was read")
                return found

            written = cache.write_while(
                read_once, entry, dtype, size, on_wait=lambda: on_progress(0.0)
            )
            weights = cache.open(entry.result(), dtype) if written else None
        weights = weights or read()
        entry.result()  # from here on the fingerprint is known
        fingerprint = self._fingerprints.of(path)
        weights = vaes.add_small(weights, self._dtype)
        model = build_model(
            weights, path, name=name, fingerprint=fingerprint, prediction=prediction
        )
        in_half = storage == CPU and dtype != self._dtype
        return replace(
            model,
            exact_unet=partial(self._exact_unet, path, fingerprint) if in_half else None,
            device=self._device,
            device_thread=thread_of(self._device),
            nbytes=self._device_bytes(sizes_of(weights.networks), offloaded),
            graphs=Graphs() if self._graphs else None,
            offload_cache=self._offload_cache if offloaded else None,
            step_batcher=StepBatcher(self._max_concurrent) if self._max_concurrent else None,
        )

    def estimate_bytes(self, path: Path, *, offloaded: bool = False, full: bool = False) -> int:
        """The bytes of the device's memory that a model will take.

        Raises ModelNotFound, UnreadableModel.
        """
        storage = CPU if offloaded else self._device
        unet = self.unet_type(path, offloaded=offloaded, full=full)
        return self._device_bytes(self._sizes(path, storage, unet), offloaded)

    def _sizes(self, path: Path, storage: torch.device, unet: torch.dtype) -> dict[str, int]:
        """The bytes of each network that `storage` will hold, by name.

        Args:
            unet: the type of the UNet.
        """
        checkpoint = open_weights(path)
        family = detect_family(checkpoint)
        networks = described_networks(family)
        types = {"unet": unet}
        kept = {
            part.name: kept_types(checkpoint, family, part, networks.parts[part.name], storage)
            for part in family.parts
        }
        return {
            part: sum(
                p.numel() * kept.get(part, {}).get(name, types.get(part, self._dtype)).itemsize
                for name, p in module.named_parameters()
            )
            for part, module in parts_of(networks)
        }

    def unet_type(self, path: Path, *, offloaded: bool = False, full: bool = False) -> torch.dtype:
        """The type of a model's UNet: half precision where that is faster, and not `full`.

        Jobs in full precision use an offloaded model on a GPU. Raises ModelNotFound,
        UnreadableModel.
        """
        if self._device.type == "cuda":
            return self._dtype if offloaded else half_precision.ON_GPU
        if full or not half_precision.cpu_has_fast_bfloat16():
            return self._dtype
        family = detect_family(open_weights(path))
        half = None if family.large else half_precision.half_type(family, self._device)
        return half or self._dtype

    def _exact_unet(
        self, path: Path, fingerprint: str, names: Collection[str]
    ) -> Iterator[tuple[str, Tensor]]:
        """See `Model.exact_unet`."""
        checkpoint = open_weights(path)
        if self._fingerprints.of(path) != fingerprint:
            raise UnreadableModel(f"model {path.name!r} was replaced since it was loaded")
        return exact_unet(checkpoint, names)

    def _device_bytes(self, networks: Mapping[str, int], offloaded: bool) -> int:
        """All weights; for an offloaded model, its largest network or what may be on the device.

        Args:
            networks: the bytes of each.
        """
        sizes = dict(networks)
        if offloaded and self._max_unet_bytes:
            sizes["unet"] = min(sizes["unet"], self._max_unet_bytes)
            return sum(sizes.values())  # with `turbo` the other networks stay on the device too
        return max(sizes.values()) if offloaded else sum(sizes.values())

    @staticmethod
    def describe(path: Path, prediction: Prediction | None = None) -> ModelDescription:
        """Describe a model without loading it.

        Args:
            prediction: what a model of this name predicts, see `build_model`.

        Raises:
            ModelNotFound, UnreadableModel.
        """
        checkpoint = open_weights(path)
        family = detect_family(checkpoint)
        predicts = declared_prediction(path, checkpoint) or prediction or family.prediction
        return ModelDescription(
            family.id,
            family.kind(predicts),
            family.native_size_for(predicts),
            family.unet_kind,
            family.cost,
        )

    def _entry(self, path: Path, vae: Path | None) -> Future[str]:
        """What the weight cache knows a model, with another autoencoder, by.

        Where the model's fingerprint is not known it is computed in a thread.
        """
        future: Future[str] = Future()

        def compute() -> None:
            try:
                name = self._fingerprints.of(path)
                if vae is not None:
                    name = hashlib.sha256((name + self._fingerprints.of(vae)).encode()).hexdigest()
                future.set_result(name)
            except Exception as error:  # noqa: BLE001 - raised where the result is used
                future.set_exception(error)

        if self._fingerprints.known(path):
            compute()
        else:
            threading.Thread(target=compute, name="fingerprint", daemon=True).start()
        return future
