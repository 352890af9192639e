"""Downloads a file from the hub: resumable, checked, and complete or not at all."""

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
from stable_diffusion.weights.small_files import read_json
from worker.commands.sources import Source
from worker.errors import PullFailed

SPARE_BYTES = 500_000_000
"""Disk space that a download leaves free."""
NOTE_SUFFIX = ".source.json"
_NOT_THERE = (RepositoryNotFoundError, EntryNotFoundError, RevisionNotFoundError)


@dataclass(frozen=True)
class RemoteFile:
    """A file on the hub. `sha256` is empty if the hub does not state it."""

    repository: str
    revision: str
    file: str
    bytes: int
    sha256: str


def find(source: Source, endpoint: str | None = None) -> RemoteFile:
    """The file in the first of its repositories that has it. Raises PullFailed.

    Args:
        endpoint: the hub; None: the one of HF_ENDPOINT, else the public one.
    """
    api = HfApi(endpoint)
    for repository in source.repositories:
        try:
            infos = api.get_paths_info(repository, source.file, revision=source.revision)
        except _NOT_THERE:
            continue
        except (HfHubHTTPError, httpx2.HTTPError, OSError) as error:
            raise PullFailed(_explanation(error, repository)) from error
        for info in infos:
            if isinstance(info, RepoFile):
                checksum = info.lfs.sha256 if info.lfs else ""
                return RemoteFile(repository, source.revision, source.file, info.size, checksum)
    tried = ", ".join(source.repositories)
    raise PullFailed(
        f"{source.file} is in none of {tried}: repositories move; name another one in "
        "sources.toml in the models folder"
    )


def pull(
    name: str,
    remote: RemoteFile,
    folder: Path,
    fingerprints: Fingerprints,
    *,
    prediction: Prediction | None = None,
    endpoint: str | None = None,
) -> Path:
    """Download a file into a folder under its name, with a note of its source.

    An interrupted download is kept, and the next call resumes it.

    Args:
        name: canonical.
        remote: from `find`.
        fingerprints: where the checksum is remembered.
        prediction: written to a configuration file beside the model, if the model predicts v.
        endpoint: see `find`.

    Raises:
        PullFailed: the disk is too full, the hub does not answer or refuses, or the file differs
            from the hub's checksum or size.
    """
    partial = folder / ".pull" / f"{name}-{remote.sha256 or 'unknown'}"
    partial.parent.mkdir(parents=True, exist_ok=True)
    partial.touch()
    if partial.stat().st_size > remote.bytes:
        partial.write_bytes(b"")
    needed = remote.bytes - partial.stat().st_size + SPARE_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise PullFailed(
            f"{name} needs {needed / 1e9:.1f} GB of disk, and {free / 1e9:.1f} GB are free in "
            f"{folder}"
        )
    _download(remote, partial, endpoint)
    checksum = Fingerprints().of(partial)
    if partial.stat().st_size != remote.bytes or remote.sha256 not in ("", checksum):
        partial.unlink()
        raise PullFailed(
            f"{name}: the file is not what {remote.repository} says it has (SHA-256 {checksum}, "
            f"not {remote.sha256 or 'known'}); it was deleted: pull again"
        )
    path = folder / f"{name}{Path(remote.file).suffix}"
    note = asdict(remote) | {"sha256": checksum}
    path.with_name(path.name + NOTE_SUFFIX).write_text(json.dumps(note, indent=1))
    if prediction == "v":
        config = "model: {params: {parameterization: v}}\n"
        path.with_suffix(".yaml").write_text(config)
    partial.replace(path)
    fingerprints.remember(path, checksum)
    shutil.rmtree(partial.parent, ignore_errors=True)
    return path


def _download(remote: RemoteFile, partial: Path, endpoint: str | None) -> None:
    """Download the missing part of a file.

    The library's own `hf_hub_download` starts again after a failure.
    """
    url = hf_hub_url(remote.repository, remote.file, revision=remote.revision, endpoint=endpoint)
    try:
        with partial.open("r+b") as out:
            size = out.seek(0, 2)
            http_get(
                url,
                out,
                resume_size=size,
                headers=build_hf_headers(),
                expected_size=remote.bytes,
                displayed_filename=remote.file,
            )
    except (HfHubHTTPError, httpx2.HTTPError, OSError) as error:
        raise PullFailed(_explanation(error, remote.repository)) from error


def recorded(path: Path) -> RemoteFile | None:
    """The source of a model that was pulled; None for other files."""
    note = path.with_name(path.name + NOTE_SUFFIX)
    try:
        return RemoteFile(**read_json(note))
    except (OSError, ValueError, TypeError):
        return None


def _explanation(error: Exception, repository: str) -> str:
    if isinstance(error, GatedRepoError):
        return (
            f"{repository} requires consent: give it on the hub's page, and set HF_TOKEN to a "
            "token of that account"
        )
    if isinstance(error, HfHubHTTPError) and error.response is not None:
        return f"the hub answered {error.response.status_code} for {repository}"
    return f"the hub cannot be reached for {repository}: {error}"
