"""Opening an fsspec place, and what its failures are called here.

A folder has renames and makes folders; an object store such as S3 has neither, but each of its
writes and copies is seen whole or not at all.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import fsspec
from fsspec import AbstractFileSystem

from jobs.errors import NoSuchPicture, StoreError, StoreFull

_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "r2"})
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EACCES, errno.EPERM}


def open_place(url: str) -> tuple[Any, str]:
    """The file system behind a folder or an fsspec URL, and the root in it.

    The client of a remote place is imported here, and asked nothing yet. Where it is and who we
    are comes from the environment, as that client reads it: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID,
    AWS_SECRET_ACCESS_KEY and the others for S3, FSSPEC_* for whatever fsspec knows.

    Raises:
        StoreError: nothing can open such a URL.
    """
    # Other processes write there too: a listing that was right a minute ago is worth nothing.
    options = {"use_listings_cache": False, "skip_instance_cache": True} if "://" in url else {}
    with storing(url):
        files, root = fsspec.core.url_to_fs(url, **options)
    return files, str(root).rstrip("/")


def has_folders(files: AbstractFileSystem) -> bool:
    """Whether folders have to be made before something can be put into them."""
    protocols = {files.protocol} if isinstance(files.protocol, str) else set(files.protocol)
    return not protocols & _OBJECT_STORES


@contextmanager
def storing(name: str, *, writing: bool = False) -> Iterator[None]:
    """Turn whatever a place raises into StoreError, or one of its kinds.

    Args:
        name: what is stored or read.
        writing: what is missing then is the place itself, not the file.
    """
    try:
        yield
    except StoreError:
        raise
    except FileNotFoundError as error:
        if writing:
            raise StoreError(f"the picture store failed: {error.strerror or error}") from error
        raise NoSuchPicture(f"nothing is stored as {name!r}") from error
    except OSError as error:
        kind = StoreFull if error.errno in _FULL else StoreError
        raise kind(f"the picture store failed: {error.strerror or error}") from error
    except (ImportError, ValueError) as error:
        raise StoreError(f"the picture store cannot be used: {error}") from error
    except Exception as error:  # each client has its own, and botocore's tell addresses
        raise StoreError(f"the picture store failed ({type(error).__name__})") from error
