"""The fsspec file system below the picture store, and its errors as StoreError.

A folder has renames, and its subfolders must be made. An object store such as S3 has neither
renames nor folders, but each of its writes and copies is atomic.
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


def open_filesystem(url: str) -> tuple[Any, str]:
    """The file system behind a folder or an fsspec URL, and the root in it.

    The client of a remote store is imported here, but sends nothing yet. It reads its endpoint and
    credentials from the environment: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY
    and so on for S3, FSSPEC_* for any file system of fsspec.

    Raises:
        StoreError: no file system is installed for such a URL.
    """
    # Other processes write there too, so a cached listing may be wrong.
    options = {"use_listings_cache": False, "skip_instance_cache": True} if "://" in url else {}
    with store_errors(url):
        files, root = fsspec.core.url_to_fs(url, **options)
    return files, str(root).rstrip("/")


def has_folders(files: AbstractFileSystem) -> bool:
    """Whether a folder must be made before a file can be written into it."""
    protocols = {files.protocol} if isinstance(files.protocol, str) else set(files.protocol)
    return not protocols & _OBJECT_STORES


@contextmanager
def store_errors(name: str, *, writing: bool = False) -> Iterator[None]:
    """Turn any error of a file system into a StoreError or a subclass.

    Args:
        name: of the file.
        writing: True: a missing path is the folder itself, not the file.
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
    except Exception as error:  # each client has its own errors, and botocore's contain addresses
        raise StoreError(f"the picture store failed ({type(error).__name__})") from error
