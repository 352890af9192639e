"""Fetches a model from the hub: sizes first, resumable, whole and checked or not at all."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx2
from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import http_get
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import build_hf_headers

from stable_diffusion.families.family import Prediction
from stable_diffusion.weights.fingerprint import Fingerprints
from worker.commands.sources import Source
from worker.errors import PullFailed

SPARE_BYTES = 500_000_000
"""What a pull leaves free on the disk."""
NOTE_SUFFIX = ".source.json"
_ELSEWHERE = (RepositoryNotFoundError, EntryNotFoundError, RevisionNotFoundError)


@dataclass(frozen=True)
class Offer:
    """A file on the hub, before it is fetched. `sha256` is empty where the hub does not tell."""

    repository: str
    revision: str
    file: str
    bytes: int
    sha256: str


def find(source: Source, endpoint: str | None = None) -> Offer:
    """The first of a source's repositories that has its file. Raises PullFailed.

    Args:
        endpoint: the hub; None: the one of HF_ENDPOINT, else the public one.
    """
    api = HfApi(endpoint)
    for repository in source.repositories:
        try:
            infos = api.get_paths_info(repository, source.file, revision=source.revision)
        except _ELSEWHERE:
            continue
        except (HfHubHTTPError, httpx2.HTTPError, OSError) as error:
            raise PullFailed(_told(error, repository)) from error
        for info in infos:
            if isinstance(info, RepoFile):
                checksum = info.lfs.sha256 if info.lfs else ""
                return Offer(repository, source.revision, source.file, info.size, checksum)
    tried = ", ".join(source.repositories)
    raise PullFailed(
        f"{source.file} is in none of {tried}: repositories move; another place is "
        "named in sources.toml in the models folder"
    )


def pull(
    name: str,
    offer: Offer,
    models_dir: Path,
    fingerprints: Fingerprints,
    *,
    prediction: Prediction | None = None,
    endpoint: str | None = None,
) -> Path:
    """Fetch a model into the models folder under its name, with a note of where it is from.

    What a broken-off pull has fetched is kept, and the next one goes on from there.

    Args:
        name: canonical.
        offer: what `find` has found.
        fingerprints: learn the checksum.
        prediction: what the model predicts, if a note of that is to be put beside it.
        endpoint: as of `find`.

    Raises:
        PullFailed: there is no room, the hub cannot be reached or refuses, or what came is not
            what it says.
    """
    partial = models_dir / ".pull" / f"{name}-{offer.sha256 or 'unknown'}"
    partial.parent.mkdir(parents=True, exist_ok=True)
    partial.touch()
    if partial.stat().st_size > offer.bytes:
        partial.write_bytes(b"")
    needed = offer.bytes - partial.stat().st_size + SPARE_BYTES
    free = shutil.disk_usage(models_dir).free
    if free < needed:
        raise PullFailed(
            f"{name} needs {needed / 1e9:.1f} GB of disk, and {free / 1e9:.1f} GB are free in "
            f"{models_dir}"
        )
    _fetch(offer, partial, endpoint)
    checksum = Fingerprints().of(partial)
    if partial.stat().st_size != offer.bytes or offer.sha256 not in ("", checksum):
        partial.unlink()
        raise PullFailed(
            f"{name}: what came is not what {offer.repository} says it has (SHA-256 {checksum}, "
            f"not {offer.sha256 or 'known'}); it was deleted: pull again"
        )
    path = models_dir / f"{name}{Path(offer.file).suffix}"
    note = asdict(offer) | {"sha256": checksum}
    path.with_name(path.name + NOTE_SUFFIX).write_text(json.dumps(note, indent=1))
    if prediction == "v":
        config = "model: {params: {parameterization: v}}\n"
        path.with_suffix(".yaml").write_text(config)
    partial.replace(path)
    fingerprints.remember(path, checksum)
    shutil.rmtree(partial.parent, ignore_errors=True)
    return path


def _fetch(offer: Offer, partial: Path, endpoint: str | None) -> None:
    """Fetch what is still missing of a file.

    The library's own `hf_hub_download` begins anew after a failure.
    """
    url = hf_hub_url(offer.repository, offer.file, revision=offer.revision, endpoint=endpoint)
    try:
        with partial.open("r+b") as out:
            begun = out.seek(0, 2)
            http_get(
                url,
                out,
                resume_size=begun,
                headers=build_hf_headers(),
                expected_size=offer.bytes,
                displayed_filename=offer.file,
            )
    except (HfHubHTTPError, httpx2.HTTPError, OSError) as error:
        raise PullFailed(_told(error, offer.repository)) from error


def recorded(path: Path) -> Offer | None:
    """Where a model was pulled from, if it was."""
    note = path.with_name(path.name + NOTE_SUFFIX)
    try:
        return Offer(**json.loads(note.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _told(error: Exception, repository: str) -> str:
    if isinstance(error, GatedRepoError):
        return (
            f"{repository} asks for consent: give it on the hub's page, and set HF_TOKEN to a "
            "token of that account"
        )
    if isinstance(error, HfHubHTTPError) and error.response is not None:
        return f"the hub answered {error.response.status_code} for {repository}"
    return f"the hub cannot be reached for {repository}: {error}"
