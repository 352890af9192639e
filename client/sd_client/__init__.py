"""A typed Python client for a Stable Diffusion service.

from sd_client import Client

with Client() as client:
    client.generate("a red dragon", steps=20)[0].save("dragon.png")
"""

from sd_client.capabilities import Capabilities, Model, Models, Sampler
from sd_client.client import Client
from sd_client.errors import (
    BadArgument,
    BadRequest,
    ClientError,
    Conflict,
    Fault,
    JobCancelled,
    JobExpired,
    JobFailed,
    NoSuchJob,
    Refused,
    ServiceUnavailable,
    TooManyRequests,
    Unauthorized,
    UnexpectedAnswer,
    WaitTimeout,
)
from sd_client.job import Job
from sd_client.parameters import Image, ImageParameters, Parameters
from sd_client.pictures import Picture, save_all
from sd_client.recipe import NotRead, Recipe
from sd_client.status import Event, Preview, Progress, State, Status

__all__ = [
    "BadArgument",
    "BadRequest",
    "Capabilities",
    "Client",
    "ClientError",
    "Conflict",
    "Event",
    "Fault",
    "Image",
    "ImageParameters",
    "Job",
    "JobCancelled",
    "JobExpired",
    "JobFailed",
    "Model",
    "Models",
    "NoSuchJob",
    "NotRead",
    "Parameters",
    "Picture",
    "Preview",
    "Progress",
    "Recipe",
    "Refused",
    "Sampler",
    "ServiceUnavailable",
    "State",
    "Status",
    "TooManyRequests",
    "Unauthorized",
    "UnexpectedAnswer",
    "WaitTimeout",
    "save_all",
]
