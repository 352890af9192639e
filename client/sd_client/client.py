"""The client."""

import os
import uuid
from collections.abc import Callable
from typing import Any, Self, Unpack

from sd_client.capabilities import Capabilities, Models
from sd_client.errors import UnexpectedAnswer
from sd_client.job import CancelResult, Job
from sd_client.parameters import (
    Image,
    ImageParameters,
    Parameters,
    UpscaleParameters,
    body_of,
    encode_image,
)
from sd_client.pictures import Picture
from sd_client.recipe import Recipe
from sd_client.status import Event, Status
from sd_client.transport import Transport

DEFAULT_ADDRESS = "http://127.0.0.1:5001"
OnEvent = Callable[[Event], object]


class Client:
    """A connection to one service with one API key. Threads may share a client.

    Args:
        address: URL of the API; default SD_ADDRESS, then http://127.0.0.1:5001.
        api_key: default SD_API_KEY, then the well-known key of a service without own keys.
        timeout: seconds for each answer, not for a job: for that see `Job.wait`.
        retries: how often to repeat a request that got no answer, 429, 502, 503 or 504.

    Raises:
        BadArgument: the address or the key is invalid.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        api_key: str | None = None,
        timeout: float = 30.0,
        retries: int = 3,
    ) -> None:
        self._transport = Transport(
            address or os.environ.get("SD_ADDRESS") or DEFAULT_ADDRESS,
            api_key or os.environ.get("SD_API_KEY", ""),
            timeout=timeout,
            retries=retries,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    @property
    def address(self) -> str:
        """The URL of the API."""
        return self._transport.address

    def generate(
        self,
        prompt: str = "",
        *,
        on_event: OnEvent | None = None,
        wait_seconds: float | None = None,
        **parameters: Unpack[Parameters],
    ) -> list[Picture]:
        """Generate pictures from a prompt, and wait for them.

        Args:
            prompt: the prompt; optional with `from_file`.
            on_event: called with every Status and every Preview.
            wait_seconds: how long to wait; None: no limit.
            parameters: see `Parameters`; the service has a default for each.

        Returns:
            the pictures in order, the grid last if one was requested.

        Raises:
            BadRequest: names every invalid field.
            JobFailed, JobCancelled, WaitTimeout, Unauthorized, ServiceUnavailable, ClientError.
        """
        return _wait_and_fetch(self.submit_generate(prompt, **parameters), on_event, wait_seconds)

    def img2img(
        self,
        prompt: str,
        image: Image,
        *,
        on_event: OnEvent | None = None,
        wait_seconds: float | None = None,
        **parameters: Unpack[ImageParameters],
    ) -> list[Picture]:
        """Generate pictures from a prompt and an initial image. See `generate`."""
        return _wait_and_fetch(
            self.submit_img2img(prompt, image, **parameters), on_event, wait_seconds
        )

    def upscale(
        self,
        image: Image,
        *,
        on_event: OnEvent | None = None,
        wait_seconds: float | None = None,
        **parameters: Unpack[UpscaleParameters],
    ) -> Picture:
        """Enlarge a picture, twice unless `by` or an output size is given. See `generate`."""
        job = self.submit_upscale(image, **parameters)
        return _wait_and_fetch(job, on_event, wait_seconds)[0]

    def submit_generate(
        self,
        prompt: str = "",
        *,
        idempotency_key: str | None = None,
        **parameters: Unpack[Parameters],
    ) -> Job:
        """Queue a job, without waiting for it.

        Args:
            prompt: the prompt.
            idempotency_key: requests with the same key and body share one job; None: a new key,
                so that automatic retries of this request create one job.
            parameters: see `Parameters`.

        Raises:
            BadRequest, Unauthorized, ServiceUnavailable, ClientError.
        """
        return self._submit("/generate", body_of(prompt, parameters), idempotency_key)

    def submit_img2img(
        self,
        prompt: str,
        image: Image,
        *,
        idempotency_key: str | None = None,
        **parameters: Unpack[ImageParameters],
    ) -> Job:
        """Queue an img2img job, without waiting for it. See `submit_generate`."""
        body = body_of(prompt, parameters) | {"init_img": encode_image(image)}
        if body.get("mask") is not None:
            body["mask"] = encode_image(body["mask"])
        return self._submit("/img2img", body, idempotency_key)

    def submit_upscale(
        self,
        image: Image,
        *,
        idempotency_key: str | None = None,
        **parameters: Unpack[UpscaleParameters],
    ) -> Job:
        """Queue a job that enlarges a picture, without waiting for it. See `submit_generate`."""
        body = body_of("", parameters) | {"init_img": encode_image(image)}
        return self._submit("/upscale", body, idempotency_key)

    def job(self, job_id: str) -> Job:
        """A handle for a job id. Sends no request."""
        return Job(self._transport, job_id)

    def status(self, job_id: str) -> Status:
        """The status of a job. Raises NoSuchJob, JobExpired, ClientError."""
        return self.job(job_id).status()

    def cancel(self, job_id: str) -> CancelResult:
        """Cancel a job; see `Job.cancel`."""
        return self.job(job_id).cancel()

    def recent(self) -> list[Job]:
        """The last ten finished jobs, newest first. Raises ClientError."""
        answer = self._transport.json("GET", "/recent")
        return [self.job(path.rpartition("/")[2]) for path in answer["Recent_finished_images"]]

    def read_recipe(self, image: Image) -> Recipe:
        """What a picture was made of. Raises BadRequest if it is none, ClientError."""
        body = {"image": encode_image(image)}
        return Recipe.read(self._transport.json("POST", "/png-info", json=body))

    def models(self) -> Models:
        """The models of all workers. Raises ClientError."""
        return Models.read(self._transport.json("GET", "/models"))

    def capabilities(self) -> Capabilities:
        """Types, models, samplers, limits and defaults. Raises ClientError."""
        return Capabilities.read(self._transport.json("GET", "/capabilities"))

    def _submit(self, path: str, body: dict[str, Any], key: str | None) -> Job:
        headers = {"Idempotency-Key": key or str(uuid.uuid4())}
        answer = self._transport.json("POST", path, json=body, headers=headers)
        try:
            warnings = tuple(answer.get("Warnings", ()))
            return Job(self._transport, answer["task_id"], answer["active_model"], warnings)
        except KeyError as error:
            raise UnexpectedAnswer(f"the answer to {path} has no {error}") from error


def _wait_and_fetch(
    job: Job, on_event: OnEvent | None, wait_seconds: float | None
) -> list[Picture]:
    """Wait, and fetch the pictures. KeyboardInterrupt cancels the job: the caller has no handle."""
    try:
        return job.pictures(job.wait(on_event, wait_seconds))
    except KeyboardInterrupt:
        job.cancel()
        raise
