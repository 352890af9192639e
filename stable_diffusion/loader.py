"""Loads models for a process that lives long: knows their fingerprints, and makes ready copies.

What need not be waited for is done beside: a fingerprint that is not known is computed while the
weights are read, and a copy is written while the first pictures are drawn.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import torch

from stable_diffusion.batching import Company
from stable_diffusion.graphs import Graphs
from stable_diffusion.half import ON_GPU
from stable_diffusion.model import Model, assembled, kind_of
from stable_diffusion.networks import Networks, parts_of
from stable_diffusion.streaming.luggage import Luggage
from stable_diffusion.variants import Prediction
from stable_diffusion.weights.copies import ReadyCopies
from stable_diffusion.weights.filling import empty_networks
from stable_diffusion.weights.fingerprint import Fingerprints
from stable_diffusion.weights.kinds import identify
from stable_diffusion.weights.prediction import stated_beside, stated_inside
from stable_diffusion.weights.reading import Weights, open_weights, read_weights, suited

CPU = torch.device("cpu")


class Loader:
    """Loads models to one device in one precision. Safe to share between threads.

    Args:
        device: where to.
        fingerprints: those that are known.
        copies: where ready copies are found and put; None: nowhere.
        dtype: in which precision the weights are held.
        lanes: of the company of each model; 0: jobs share no evaluations.
        graphs: record the evaluations of a model that a GPU has at hand.
        most_on_call: bytes of its UNet that a model on call may have on a GPU at once; 0: all.
    """

    def __init__(
        self,
        device: str,
        fingerprints: Fingerprints,
        copies: ReadyCopies | None = None,
        dtype: torch.dtype = torch.float32,
        lanes: int = 0,
        *,
        graphs: bool = True,
        most_on_call: int = 0,
    ) -> None:
        self._device = torch.device(device)
        self._fingerprints = fingerprints
        self._copies = copies
        self._dtype = dtype
        self._lanes = lanes
        self._graphs = graphs and self._device.type == "cuda"
        self._most = most_on_call
        on_gpu = self._device.type == "cuda"
        self._luggage = Luggage(most_on_call, self._device) if on_gpu and most_on_call else None
        self._writing: list[threading.Thread] = []

    def load(
        self,
        name: str,
        path: Path,
        *,
        prediction: Prediction | None = None,
        on_call: bool = False,
        on_progress: Callable[[float], object] = lambda _share: None,
    ) -> Model:
        """Load a model.

        Args:
            name, path, prediction: as of `load_model`.
            on_call: the weights shall rest in main memory, whole; see `memory_plan`.
            on_progress: is told the share that is loaded, 0..1.

        Raises:
            ModelNotFound, UnreadableModel.
        """
        rests = CPU if on_call else self._device
        copies = self._copies if rests == CPU else None
        known = self._fingerprints.known(path)
        summing = None if known else self._summed(path)
        weights = copies.open(known, self._dtype) if copies and known else None
        if weights is None:
            weights = read_weights(
                path, rests, self._dtype, on_progress, unet=self._unet_type(on_call)
            )
        weights = self._suited(weights)
        fingerprint = known or (summing.result() if summing else "")
        if copies:
            self._copy(weights, fingerprint, copies)
        model = assembled(weights, path, name=name, fingerprint=fingerprint, prediction=prediction)
        return replace(
            model,
            device=self._device,
            nbytes=self._weight(weights.networks, on_call),
            graphs=Graphs() if self._graphs and not on_call else None,
            luggage=self._luggage if on_call else None,
            company=Company(self._lanes) if self._lanes else None,
        )

    def weigh(self, path: Path, *, on_call: bool = False) -> int:
        """The memory of the device that a model will take, in bytes.

        Raises ModelNotFound, UnreadableModel.
        """
        variant = identify(open_weights(path))
        weights = self._suited(Weights(variant, empty_networks(variant), None))
        return self._weight(weights.networks, on_call)

    def _unet_type(self, on_call: bool) -> torch.dtype:
        """On a GPU half precision; who wants it in full has it on call, see `memory_plan`."""
        at_hand = self._device.type == "cuda" and not on_call
        return ON_GPU if at_hand else self._dtype

    def _suited(self, weights: Weights) -> Weights:
        """A second UNet is for a CPU: of a GPU it would fill the memory."""
        if self._device.type == "cuda":
            return replace(weights, networks=replace(weights.networks, half=None))
        return suited(weights, self._device)

    def _weight(self, networks: Networks, on_call: bool) -> int:
        """All of a model; of one on call, its largest network; of its UNet, what may be there."""
        types = {"unet": self._unet_type(on_call)}
        if networks.half:
            types["half"] = networks.half.dtype
        sizes = {
            part: sum(p.numel() for p in module.parameters())
            * types.get(part, self._dtype).itemsize
            for part, module in parts_of(networks)
        }
        if on_call and self._luggage:
            sizes["unet"] = min(sizes["unet"], self._most)
            return sum(sizes.values())  # with `turbo` the others stay beside it
        return max(sizes.values()) if on_call else sum(sizes.values())

    def kind(self, path: Path, prediction: Prediction | None = None) -> str:
        """What a model is, told without loading it. Raises ModelNotFound, UnreadableModel."""
        checkpoint = open_weights(path)
        variant = identify(checkpoint)
        stated = stated_beside(path) or stated_inside(checkpoint)
        return kind_of(variant, stated or prediction or variant.prediction)

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

    def _copy(self, weights: Weights, fingerprint: str, copies: ReadyCopies) -> None:
        if copies.holds(fingerprint, self._dtype):
            return
        writing = threading.Thread(
            target=copies.write, args=(fingerprint, weights), name="ready-copy", daemon=True
        )
        self._writing = [thread for thread in self._writing if thread.is_alive()] + [writing]
        writing.start()
