"""The dialects that the API speaks: one folder and one line here for each.

A dialect holds routes, request → fields of a job, status → JSON and errors → JSON, all over
`api.job_service`. No dialect imports another.
"""

from api.dialect import Dialect
from api.dialects import a1111, native, openai

DIALECTS: tuple[Dialect, ...] = (native.blueprint, openai.blueprint, a1111.blueprint)
"""The service's own: /generate, /img2img, /upscale, /status, /events, /images, /recent, ...;
OpenAI's: /v1/images/generations, /v1/images/edits, /v1/models; AUTOMATIC1111's: /sdapi/v1/..."""
