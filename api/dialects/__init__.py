"""The dialects that the API speaks: one folder and one line here for each.

A dialect holds routes, request → fields of a job, status → JSON and errors → JSON, all over
`api.job_service`. No dialect imports another.
"""

from api.dialect import Dialect
from api.dialects import a1111, native

DIALECTS: tuple[Dialect, ...] = (native.blueprint, a1111.blueprint)
