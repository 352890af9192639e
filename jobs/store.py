"""Where pictures are kept: a folder, or any fsspec URL such as s3://bucket/folder.

Names are relative to the root and made of a folder the request rules have checked, the job's id
and a number. A picture is written into a hidden folder and renamed (in an object store: copied),
so that nobody sees half a picture, and nothing is seen of a job that did not finish.
"""

import os
import posixpath
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from fsspec.implementations.local import LocalFileSystem

from jobs.errors import NoSuchPicture, StoreError, UnsafeName
from jobs.inputs import INPUT_ROLES, InputRole
from jobs.places import has_folders, open_place, storing

INPUTS = "inputs"
# Pictures of a job with skip_save: kept to be fetched once, out of the way of what is kept.
TRANSIENT = "transient"
# A folder no request can name: its segments may not begin with a dot.
_PARTS = ".parts"


class Staging:
    """The unpublished pictures of one attempt at a job."""

    def __init__(self, store: "PictureStore", job_id: str, outdir: str, token: int) -> None:
        self._store = store
        self._job_id = job_id
        self._outdir = outdir
        self._token = token
        self._staged: dict[str, str] = {}
        self.size = 0
        """Bytes of all pictures put so far."""

    def put(
        self, index: int | Literal["grid"], data: bytes, ext: str, *, outdir: str | None = None
    ) -> str:
        """Write a picture under a temporary name. Returns the name it will have.

        Args:
            index: its number in the job, or `grid`.
            data: the encoded picture.
            ext: `png` or `jpg`.
            outdir: another folder than the staging's own.
        """
        outdir = self._outdir if outdir is None else outdir
        name = posixpath.join(outdir, f"{self._job_id}_{index}.{ext}")
        self._store.check(name)
        temporary = f"{_PARTS}/{self._job_id}.{self._token}.{index}"
        self._staged[temporary] = name
        self._store.put(temporary, data)
        self.size += len(data)
        return name

    @property
    def names(self) -> tuple[str, ...]:
        """The names that the pictures put so far will have."""
        return tuple(self._staged.values())

    def publish(self) -> tuple[str, ...]:
        """Give every picture its own name, each in one step. Returns the names.

        When one cannot be renamed, none of them stays.
        """
        names: list[str] = []
        try:
            for temporary, name in list(self._staged.items()):
                self._store.rename(temporary, name)
                del self._staged[temporary]
                names.append(name)
        except StoreError:
            for name in names:
                with suppress(StoreError):
                    self._store.delete(name)
            raise
        return tuple(names)

    def discard(self) -> None:
        """Delete what was not published; never raises."""
        for temporary in self._staged:
            with suppress(StoreError):
                self._store.delete(temporary)
        self._staged.clear()


class PictureStore:
    """Pictures and the inputs of jobs below one root. Safe to share between threads.

    Args:
        url: a folder, or an fsspec URL.

    Every method raises StoreError, or one of its kinds.
    """

    def __init__(self, url: str) -> None:
        self._files, self._root = open_place(url)
        self._has_folders = has_folders(self._files)

    @contextmanager
    def staging(self, job_id: str, outdir: str, token: int) -> Iterator[Staging]:
        """A place for the pictures of a job; what is not published on leaving is deleted.

        Args:
            job_id: the job.
            outdir: folder below the root.
            token: the claim's fencing token, so that two attempts never write to one file.
        """
        if token > 1:  # the first attempt finds nothing to discard
            self.discard_parts(job_id, before=token)
        staging = Staging(self, job_id, outdir, token)
        try:
            yield staging
        finally:
            staging.discard()

    def discard_parts(self, job_id: str, *, before: int | None = None) -> None:
        """Delete what attempts at a job left behind when their worker died.

        Args:
            job_id: the job.
            before: only attempts with a smaller fencing token; None: all of them.
        """
        with suppress(NoSuchPicture), storing(job_id):
            for path in self._files.glob(f"{self._root}/{_PARTS}/{job_id}.*"):
                token = posixpath.basename(str(path)).removeprefix(f"{job_id}.").split(".")[0]
                if before is None or int(token) < before:
                    self._files.rm_file(path)

    def unfinished(self) -> set[str]:
        """The names of all inputs of jobs and of all pictures not yet published."""
        names: set[str] = set()
        self._files.invalidate_cache()  # other processes write here, too
        for folder in (INPUTS, _PARTS):
            with suppress(NoSuchPicture), storing(folder):
                paths = self._files.ls(f"{self._root}/{folder}", detail=False)
                names |= {f"{folder}/{posixpath.basename(str(path))}" for path in paths}
        return names

    def check(self, name: str) -> None:
        """Raise UnsafeName unless the name stays below the root."""
        self._path(name)

    def put(self, name: str, data: bytes) -> None:
        """Write a file, making its folders. Of one that cannot be written whole nothing stays."""
        path = self._path(name)
        try:
            with storing(name, writing=True):
                self._make_folder_of(path)
                self._files.pipe_file(path, data)
        except StoreError:
            if self._has_folders:  # an object store keeps no half of a write
                with suppress(StoreError):
                    self.delete(name)
            raise

    def rename(self, name: str, new_name: str) -> None:
        """Rename a file, replacing what had the new name, in one step.

        An object store has no renames: there the file is copied, which is one step too, and then
        deleted under its old name.
        """
        path, new_path = self._path(name), self._path(new_name)
        with storing(name, writing=True):
            self._make_folder_of(new_path)
            if self._has_folders:
                self._files.mv(path, new_path)
            else:
                self._files.cp_file(path, new_path)
                self._files.rm_file(path)

    def read(self, name: str) -> bytes:
        """The bytes of a file. Raises NoSuchPicture."""
        with storing(name):
            return bytes(self._files.cat_file(self._path(name)))

    def delete(self, name: str) -> None:
        """Delete a file; nothing happens when there is none."""
        with suppress(NoSuchPicture), storing(name):
            self._files.rm_file(self._path(name))

    def put_input(self, job_id: str, role: InputRole, data: bytes) -> None:
        """Keep a picture that a job starts from until the job has ended."""
        part = f"{_PARTS}/{job_id}.0.{role}"
        self.put(part, data)
        self.rename(part, _input_name(job_id, role))

    def read_input(self, job_id: str, role: InputRole) -> bytes:
        """A picture that a job starts from. Raises NoSuchPicture."""
        return self.read(_input_name(job_id, role))

    def delete_inputs(self, job_id: str) -> None:
        """Delete all pictures that a job started from."""
        for role in INPUT_ROLES:
            self.delete(_input_name(job_id, role))

    def probe(self) -> None:
        """Write, read and delete a file: raises when a job could not be stored or shown now."""
        name = f"{_PARTS}/probe.{uuid.uuid4()}"
        self.put(name, b"probe")
        try:
            if self.read(name) != b"probe":
                raise StoreError("the picture store does not give back what it was given")
        finally:
            self.delete(name)

    def _make_folder_of(self, path: str) -> None:
        if self._has_folders:
            self._files.makedirs(posixpath.dirname(path), exist_ok=True)

    def _path(self, name: str) -> str:
        if name.startswith("/") or "\0" in name or ".." in name.split("/"):
            raise UnsafeName(f"{name!r} is outside the output root")
        path = f"{self._root}/{name}"
        if isinstance(self._files, LocalFileSystem):
            # the root's owner may link folders inside it, but not out of it
            root = os.path.realpath(self._root)
            if os.path.commonpath([root, os.path.realpath(path)]) != root:
                raise UnsafeName(f"{name!r} is outside the output root")
        return path


def _input_name(job_id: str, role: InputRole) -> str:
    return f"{INPUTS}/{job_id}.{role}.png"
