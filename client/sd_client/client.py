"""The client: prompts in, pictures out."""

import os
import uuid
from collections.abc import Callable
from typing import Any, Self, Unpack

from sd_client.errors import UnexpectedAnswer
from sd_client.job import Job, Stopped
from sd_client.offers import Capabilities, Models
from sd_client.parameters import Image, ImageParameters, Parameters, body_of, encoded
from sd_client.pictures import Picture
from sd_client.status import Event, Status
from sd_client.transport import Transport

DEFAULT_ADDRESS = "http://127.0.0.1:5001"
OnEvent = Callable[[Event], object]


class Client:
    """A service, as one caller sees it. Threads may share a client.

    Args:
        address: of the API; else SD_ADDRESS, else http://127.0.0.1:5001.
        api_key: else SD_API_KEY, else the well-known key of a service without keys of its own.
        timeout: seconds for each answer. How long a job takes is another matter: see `Job.wait`.
        retries: how often a request is sent again that got no answer, or a 429 or 503.

    Raises:
        BadArgument: the address or the key cannot be used.
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
        """Close its connections."""
        self._transport.close()

    @property
    def address(self) -> str:
        """Where the service is."""
        return self._transport.address

    def generate(
        self,
        prompt: str = "",
        *,
        on_event: OnEvent | None = None,
        wait_seconds: float | None = None,
        **parameters: Unpack[Parameters],
    ) -> list[Picture]:
        """Draw pictures from words, and wait for them.

        Args:
            prompt: what to draw; may be left out with `from_file`.
            on_event: is called with every Status and every Preview.
            wait_seconds: how long to wait; None: for ever.
            parameters: see `Parameters`; what is left out is the service's default.

        Returns:
            the pictures in their order, the grid last if one was asked for.

        Raises:
            BadRequest: names every field that is not as it should be.
            JobFailed, JobCancelled, WaitTimeout, Unauthorized, ServiceUnavailable, ClientError.
        """
        return _drawn(self.submit_generate(prompt, **parameters), on_event, wait_seconds)

    def img2img(
        self,
        prompt: str,
        image: Image,
        *,
        on_event: OnEvent | None = None,
        wait_seconds: float | None = None,
        **parameters: Unpack[ImageParameters],
    ) -> list[Picture]:
        """Draw pictures from words and a picture: a path, bytes or a file. See `generate`."""
        return _drawn(self.submit_img2img(prompt, image, **parameters), on_event, wait_seconds)

    def submit_generate(
        self,
        prompt: str = "",
        *,
        idempotency_key: str | None = None,
        **parameters: Unpack[Parameters],
    ) -> Job:
        """Queue a job, and go on.

        Args:
            prompt: what to draw.
            idempotency_key: the same key and request give the same job; None: one of its own, so
                that a request that is sent again by itself makes one job.
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
        """Queue a job that begins with a picture, and go on. See `submit_generate`."""
        body = body_of(prompt, parameters) | {"init_img": encoded(image)}
        return self._submit("/img2img", body, idempotency_key)

    def job(self, job_id: str) -> Job:
        """A handle on a job that is known by its id. Asks nothing yet."""
        return Job(self._transport, job_id)

    def status(self, job_id: str) -> Status:
        """How a job is doing. Raises NoSuchJob, JobExpired, ClientError."""
        return self.job(job_id).status()

    def cancel(self, job_id: str) -> Stopped:
        """Stop a job; see `Job.cancel`."""
        return self.job(job_id).cancel()

    def recent(self) -> list[Job]:
        """The last ten finished jobs, newest first. Raises ClientError."""
        answer = self._transport.json("GET", "/recent")
        return [self.job(at.rpartition("/")[2]) for at in answer["Recent_finished_images"]]

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


def _drawn(job: Job, on_event: OnEvent | None, wait_seconds: float | None) -> list[Picture]:
    """Wait, and fetch. Who is interrupted leaves nobody behind who could ask for the pictures."""
    try:
        return job.pictures(job.wait(on_event, wait_seconds))
    except KeyboardInterrupt:
        job.cancel()
        raise
