"""What a dialect of the API is: a function that makes its routes over the shared services."""

from collections.abc import Callable
from dataclasses import dataclass

from flask import Blueprint

from api.auth import KeyRing
from api.http.body import BodyReader
from api.job_service import JobService
from api.rate_limit import WrongKeyLimit
from api.settings import ApiSettings


@dataclass(frozen=True, kw_only=True)
class Services:
    """What the routes of a dialect work with."""

    jobs: JobService
    keys: KeyRing
    wrong_keys: WrongKeyLimit
    bodies: BodyReader
    settings: ApiSettings


Dialect = Callable[[Services], Blueprint]
"""Every view of the blueprint carries an `api.operations.Operation`. Unless the blueprint registers
error handlers (`api.http_errors.register_error_handlers`), errors have the native shape."""
