"""What a worker announces: itself, its models, and what prompts may add to them."""

from pydantic import BaseModel, ConfigDict

from jobs.limits import NATIVE_SIZE
from jobs.model_defaults import LoraFacts, ModelDefaults
from jobs.names import JobType
from stable_diffusion.unet_kind import UNetKind


class ModelFacts(BaseModel):
    """A model that is installed on a worker.

    Attributes:
        kind: family and prediction, such as `sd1` or `sd2-v`; empty while it is not known.
        family: the id of its family, such as `sd1` or `sd2`; empty while it is not known.
        native_size: the side in pixels of the pictures it was trained on.
        cost: the work of a pixel and a step, that of Stable Diffusion 1 being 1.
        unet: what its UNet samples; None while it is not known.
        bytes: the size of its weights' files.
        hash: the first ten hex digits of the weights' SHA-256; empty while it is not known.
        resident: whether the worker has it in memory.
        problem: why it cannot be used; empty if no problem is known.
        defaults: what it wants for what a request leaves out; None: nothing is known.
        defaults_problem: why the file with its defaults was not used; empty: nothing is wrong.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    kind: str = ""
    family: str = ""
    native_size: int = NATIVE_SIZE
    cost: float = 1.0
    unet: UNetKind | None = None
    bytes: int = 0
    hash: str = ""
    resident: bool = False
    problem: str = ""
    defaults: ModelDefaults | None = None
    defaults_problem: str = ""


class WorkerFacts(BaseModel):
    """One worker, as it announces itself.

    Attributes:
        worker_id: host, process and a random part; new at every start.
        types: the job types that it serves.
        models: the models it can serve, by canonical name.
        default_model: the model that `default` means there.
        device: where it computes, `cpu` or `cuda:N`.
        slots, busy: how many jobs it can run at once, and how many it runs.
        jobs: the ids of the jobs that it runs.
        oldest_progress_seconds: the longest time that one of them has not progressed.
        loaded: the models that it has in memory.
        memory_bytes: resident memory of the process; None if it is not known.
        gpu_memory_bytes: memory that it has allocated on its GPU; None without one.
        problem: why it claims no jobs now; empty: it does.
        silent_seconds: for how long after an announcement the worker counts as alive.
        model_facts: what is known of each of `models`.
        loras, embeddings: the names that prompts may use.
        lora_aliases, embedding_aliases: other names of the same LoRAs and embeddings.
        bundled_embeddings: the names of embeddings in the files of LoRAs.
        vaes: the names that the field `vae` may have.
        lora_facts: of those of `loras` of which more is known than the name.
        lora_widths: of the text embeddings that a LoRA reads, by each of its names, where known.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    worker_id: str
    types: tuple[JobType, ...]
    models: tuple[str, ...]
    default_model: str
    device: str
    slots: int
    busy: int = 0
    jobs: tuple[str, ...] = ()
    oldest_progress_seconds: float = 0.0
    loaded: tuple[str, ...] = ()
    memory_bytes: int | None = None
    gpu_memory_bytes: int | None = None
    problem: str = ""
    silent_seconds: float = 0.0
    model_facts: tuple[ModelFacts, ...] = ()
    loras: tuple[str, ...] = ()
    embeddings: tuple[str, ...] = ()
    lora_aliases: tuple[str, ...] = ()
    embedding_aliases: tuple[str, ...] = ()
    bundled_embeddings: tuple[str, ...] = ()
    vaes: tuple[str, ...] = ()
    lora_facts: tuple[LoraFacts, ...] = ()
    lora_widths: dict[str, int] = {}
