"""Loads models for a process that lives long: knows their fingerprints, and makes ready copies.

What need not be waited for is done beside: a fingerprint that is not known is computed while the
weights are read, and a copy is written while the first pictures are drawn.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from stable_diffusion.families.family import Prediction
from stable_diffusion.graphs import Graphs
from stable_diffusion.half_precision import ON_GPU
from stable_diffusion.model import Model, build_model
from stable_diffusion.networks import Networks, parts_of
from stable_diffusion.offload.plan import OffloadCache
from stable_diffusion.step_batching import StepBatcher
from stable_diffusion.weights.detection import detect_family
from stable_diffusion.weights.fingerprint import Fingerprints
from stable_diffusion.weights.prediction import declared_prediction
from stable_diffusion.weights.reading import (
    Weights,
    open_weights,
    read_weights,
    with_device_precision,
)
from stable_diffusion.weights.state_dict_loading import empty_networks
from stable_diffusion.weights.weight_cache import WeightCache

CPU = torch.device("cpu")


@dataclass(frozen=True)
class ModelDescription:
    """What is known of a model before it is loaded.

    Attributes:
        family: its family's id.
        kind: the id, with a prediction that is not the family's usual one appended: `sd2-v`.
        native_size: side in pixels of the images it was trained on.
    """

    family: str
    kind: str
    native_size: int


class Loader:
    """Loads models to one device in one precision. Safe to share between threads.

    Args:
        device: where to.
        fingerprints: those that are known.
        copies: where ready copies are found and put; None: nowhere.
        dtype: in which precision the weights are held.
        max_concurrent: of the step_batcher of each model; 0: jobs share no evaluations.
        graphs: record the evaluations of a model that a GPU has at hand.
        max_unet_bytes: bytes of its UNet that a model on call may have on a GPU at once; 0: all.
    """

    def __init__(
        self,
        device: str,
        fingerprints: Fingerprints,
        copies: WeightCache | None = None,
        dtype: torch.dtype = torch.float32,
        max_concurrent: int = 0,
        *,
        graphs: bool = True,
        max_unet_bytes: int = 0,
    ) -> None:
        self._device = torch.device(device)
        self._fingerprints = fingerprints
        self._copies = copies
        self._dtype = dtype
        self._lanes = max_concurrent
        self._graphs = graphs and self._device.type == "cuda"
        self._most = max_unet_bytes
        on_gpu = self._device.type == "cuda"
        self._luggage = (
            OffloadCache(max_unet_bytes, self._device) if on_gpu and max_unet_bytes else None
        )
        self._writing: list[threading.Thread] = []

    def load(
        self,
        name: str,
        path: Path,
        *,
        prediction: Prediction | None = None,
        offloaded: bool = False,
        on_progress: Callable[[float], object] = lambda _share: None,
    ) -> Model:
        """Load a model.

        Args:
            name, path, prediction: as of `load_model`.
            offloaded: the weights shall rest in main memory, whole; see `memory_plan`.
            on_progress: is told the share that is loaded, 0..1.

        Raises:
            ModelNotFound, UnreadableModel.
        """
        rests = CPU if offloaded else self._device
        copies = self._copies if rests == CPU else None
        known = self._fingerprints.known(path)
        summing = None if known else self._summed(path)
        weights = copies.open(known, self._dtype) if copies and known else None
        if weights is None:
            weights = read_weights(
                path, rests, self._dtype, on_progress, unet_dtype=self._unet_type(offloaded)
            )
        weights = self._with_device_precision(weights)
        fingerprint = known or (summing.result() if summing else "")
        if copies:
            self._copy(weights, fingerprint, copies)
        model = build_model(
            weights, path, name=name, fingerprint=fingerprint, prediction=prediction
        )
        return replace(
            model,
            device=self._device,
            nbytes=self._weight(weights.networks, offloaded),
            graphs=Graphs() if self._graphs and not offloaded else None,
            offload_cache=self._luggage if offloaded else None,
            step_batcher=StepBatcher(self._lanes) if self._lanes else None,
        )

    def estimate_bytes(self, path: Path, *, offloaded: bool = False) -> int:
        """The memory of the device that a model will take, in bytes.

        Raises ModelNotFound, UnreadableModel.
        """
        family = detect_family(open_weights(path))
        weights = self._with_device_precision(Weights(family, empty_networks(family), None))
        return self._weight(weights.networks, offloaded)

    def _unet_type(self, offloaded: bool) -> torch.dtype:
        """On a GPU half precision; who wants it in full has it on call, see `memory_plan`."""
        resident = self._device.type == "cuda" and not offloaded
        return ON_GPU if resident else self._dtype

    def _with_device_precision(self, weights: Weights) -> Weights:
        """Add a second UNet in half precision on a CPU only: on a GPU it would fill the memory."""
        if self._device.type == "cuda":
            return replace(weights, networks=replace(weights.networks, half_unet=None))
        return with_device_precision(weights, self._device)

    def _weight(self, networks: Networks, offloaded: bool) -> int:
        """All of a model; of one on call, its largest network; of its UNet, what may be there."""
        types = {"unet": self._unet_type(offloaded)}
        if networks.half_unet:
            types["half_unet"] = networks.half_unet.dtype
        sizes = {
            part: sum(p.numel() for p in module.parameters())
            * types.get(part, self._dtype).itemsize
            for part, module in parts_of(networks)
        }
        if offloaded and self._luggage:
            sizes["unet"] = min(sizes["unet"], self._most)
            return sum(sizes.values())  # with `turbo` the others stay beside it
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
        return ModelDescription(family.id, family.kind(predicts), family.native_size_for(predicts))

    def finish(self) -> None:
        """Wait for the copies that are being written."""
        while self._writing:
            self._writing.pop().join()

    def _summed(self, path: Path) -> Future[str]:
        future: Future[str] = Future()

        def compute() -> None:
            try:
                future.set_result(self._fingerprints.of(path))
            except Exception as error:  # noqa: BLE001 - raised where the result is asked for
                future.set_exception(error)

        threading.Thread(target=compute, name="fingerprint", daemon=True).start()
        return future

    def _copy(self, weights: Weights, fingerprint: str, copies: WeightCache) -> None:
        if copies.holds(fingerprint, self._dtype):
            return
        writing = threading.Thread(
            target=copies.write, args=(fingerprint, weights), name="ready-copy", daemon=True
        )
        self._writing = [thread for thread in self._writing if thread.is_alive()] + [writing]
        writing.start()
