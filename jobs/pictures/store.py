"""The store of pictures: a folder, or any fsspec URL such as s3://bucket/folder.

A name is relative to the root and made of a folder that the request's rules have checked, the id of
the job and a number. A picture is written into a hidden folder and renamed (in an object store:
copied), so that no reader sees a partial picture, or any picture of a job that did not finish.
"""

import errno
import os
import posixpath
import secrets
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from fsspec.implementations.local import LocalFileSystem

from jobs.errors import NoSuchPicture, StoreError, StoreFull, UnsafeName
from jobs.pictures.filesystem import has_folders, open_filesystem, store_errors
from jobs.pictures.inputs import INPUT_ROLES, InputRole

INPUTS = "inputs"
"""The folder of the pictures that jobs start from."""
TRANSIENT = "transient"
"""The folder of the pictures of jobs with `skip_save`."""
# A folder no request can name: its segments may not begin with a dot.
_PARTS = ".parts"


class Staging:
    """The unpublished pictures of one attempt at a job."""

    def __init__(self, store: "PictureStore", job_id: str, outdir: str, token: int) -> None:
        self._store = store
        self._job_id = job_id
        self._outdir = outdir
        self._token = token
        # a Redis that has lost its last second gives out one token twice
        self._unique = secrets.token_hex(4)
        self._staged: dict[str, str] = {}
        self.size = 0
        """Bytes of all pictures put so far."""

    def put(
        self, index: int | Literal["grid"], data: bytes, ext: str, *, outdir: str | None = None
    ) -> str:
        """Write a picture under a temporary name. Returns its final name.

        Args:
            index: its number in the job, or `grid`.
            data: the encoded picture.
            ext: the extension of its file, such as `png`.
            outdir: a folder other than the staging's.
        """
        outdir = self._outdir if outdir is None else outdir
        name = posixpath.join(outdir, f"{self._job_id}_{index}.{ext}")
        self._store.check(name)
        temporary = f"{_PARTS}/{self._job_id}.{self._token}.{index}.{self._unique}"
        self._staged[temporary] = name
        self._store.put(temporary, data)
        self.size += len(data)
        return name

    @property
    def names(self) -> tuple[str, ...]:
        """The final names of the pictures put so far."""
        return tuple(self._staged.values())

    def publish(self) -> tuple[str, ...]:
        """Rename all pictures to their final names, one by one. Returns the names.

        If one cannot be renamed, all are deleted.
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
        """Delete the pictures that were not published; never raises."""
        for temporary in self._staged:
            with suppress(StoreError):
                self._store.delete(temporary)
        self._staged.clear()


class PictureStore:
    """Pictures and the inputs of jobs below one root. Safe to share between threads.

    Args:
        url: a folder, or an fsspec URL.
        room: bytes that must be free in a folder for a probe to pass.

    Every method raises StoreError or a subclass.
    """

    def __init__(self, url: str, *, room: int = 0) -> None:
        self._room = room
        self._files, self._root = open_filesystem(url)
        self._has_folders = has_folders(self._files)

    @contextmanager
    def staging(self, job_id: str, outdir: str, token: int) -> Iterator[Staging]:
        """The staging of a job's pictures; on leaving, those that were not published are deleted.

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
        """Delete the unpublished pictures of attempts whose worker died.

        Args:
            job_id: the job.
            before: only attempts with a smaller fencing token; None: all of them.
        """
        for name in self._names_in(_PARTS):
            its_job, _, rest = name.removeprefix(f"{_PARTS}/").partition(".")
            if its_job == job_id and (before is None or int(rest.partition(".")[0]) < before):
                self.delete(name)

    def unfinished(self) -> set[str]:
        """The names of all inputs and of all unpublished pictures."""
        return {name for folder in (INPUTS, _PARTS) for name in self._names_in(folder)}

    def check(self, name: str) -> None:
        """Raise UnsafeName unless the name stays below the root."""
        self._path(name)

    def put(self, name: str, data: bytes) -> None:
        """Write a file and make its folders. A file that cannot be written whole is deleted."""
        path = self._path(name)
        try:
            with store_errors(name, writing=True):
                self._make_folder_of(path)
                self._files.pipe_file(path, data)
        except StoreError:
            if self._has_folders:  # a failed write leaves nothing in an object store
                with suppress(StoreError):
                    self.delete(name)
            raise

    def rename(self, name: str, new_name: str) -> None:
        """Rename a file atomically, replacing any file with the new name.

        An object store has no renames: there the file is copied, which is atomic too, and then
        deleted under its old name.
        """
        path, new_path = self._path(name), self._path(new_name)
        with store_errors(name, writing=True):
            self._make_folder_of(new_path)
            if self._has_folders:
                self._files.mv(path, new_path)
            else:
                self._files.cp_file(path, new_path)
                self._files.rm_file(path)

    def read(self, name: str) -> bytes:
        """The bytes of a file. Raises NoSuchPicture."""
        with store_errors(name):
            return bytes(self._files.cat_file(self._path(name)))

    def delete(self, name: str) -> None:
        """Delete a file, if there is one."""
        with suppress(NoSuchPicture), store_errors(name):
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

    def check_room(self, needed: int) -> None:
        """Raise StoreFull unless so many bytes are free. An object store always has room."""
        if not isinstance(self._files, LocalFileSystem):
            return
        with store_errors(self._root, writing=True):
            self._files.makedirs(self._root, exist_ok=True)
            found = os.statvfs(self._root)
        if found.f_flag & os.ST_RDONLY:
            raise StoreFull(f"the picture store failed: {os.strerror(errno.EROFS)}")
        free = found.f_bavail * found.f_frsize
        if free < needed:
            raise StoreFull(
                f"the picture store is full: {needed} bytes are needed, and {free} are free"
            )

    def probe(self) -> None:
        """Write, read and delete a file, and look for `room`.

        Raises when pictures cannot be stored or read now.
        """
        name = f"{_PARTS}/probe.{uuid.uuid4()}"
        self.put(name, b"probe")
        try:
            if self.read(name) != b"probe":
                raise StoreError("the picture store does not return what was written to it")
        finally:
            self.delete(name)
        self.check_room(self._room)

    def _names_in(self, folder: str) -> list[str]:
        self._files.invalidate_cache()  # other processes write here, too
        with suppress(NoSuchPicture), store_errors(folder):
            paths = self._files.ls(f"{self._root}/{folder}", detail=False)
            return [f"{folder}/{posixpath.basename(str(path))}" for path in paths]
        return []

    def _make_folder_of(self, path: str) -> None:
        if self._has_folders:
            self._files.makedirs(posixpath.dirname(path), exist_ok=True)

    def _path(self, name: str) -> str:
        if name.startswith("/") or "\0" in name or ".." in name.split("/"):
            raise UnsafeName(f"{name!r} is outside the output root")
        path = f"{self._root}/{name}"
        if isinstance(self._files, LocalFileSystem):
            # links inside the root are allowed, links out of it are not
            root = os.path.realpath(self._root)
            if os.path.commonpath([root, os.path.realpath(path)]) != root:
                raise UnsafeName(f"{name!r} is outside the output root")
        return path


def _input_name(job_id: str, role: InputRole) -> str:
    return f"{INPUTS}/{job_id}.{role}.png"
