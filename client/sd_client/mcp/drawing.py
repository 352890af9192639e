"""Jobs of the service as MCP content: pictures, each with its seed and address."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from anyio import from_thread
from mcp.server.mcpserver import Context, Image
from mcp.server.mcpserver.exceptions import ToolError

from sd_client.client import Client
from sd_client.errors import BadRequest, ClientError
from sd_client.job import Job
from sd_client.parameters import Parameters
from sd_client.pictures import Picture, save_all
from sd_client.status import Event, Status

Answer = list[str | Image]


class Drawing:
    """Submits jobs, waits for them and returns their pictures as MCP content.

    Args:
        client: of the service.
        folder: where pictures are saved as well; None: nowhere.
    """

    def __init__(self, client: Client, folder: Path | None) -> None:
        self._client = client
        self._folder = folder

    def answer(self, context: Context[Any, Any], submit: Callable[[], Job]) -> Answer:
        """Wait for a job and return its pictures, with seed, address and file of each.

        Raises:
            ToolError: with the message of the client's error.
        """
        job: Job | None = None
        try:
            job = submit()
            status = job.wait(lambda event: _report(context, event))
            pictures = job.pictures(status)
            files = save_all(pictures, self._folder) if self._folder else [None] * len(pictures)
        except ClientError as error:
            raise ToolError(words_of(error)) from error
        except OSError as error:
            raise ToolError(f"the picture cannot be saved in {self._folder}: {error}") from error
        except BaseException:  # the assistant has cancelled the call
            if job is not None:
                job.cancel()
            raise
        answer: Answer = [f"warning: {warning}" for warning in job.warnings]
        for picture, file in zip(pictures, files, strict=True):
            answer += [Image(data=picture.data, format=_media(picture)), self._facts(picture, file)]
        return answer

    def source(self, text: str) -> str | bytes:
        """The picture that an assistant means: a path, or the content of a file.

        Raises:
            ToolError: the service has no such picture, or the `data:` URL is not base64.
        """
        prefix = f"{self._client.address}/images/"
        if text.startswith("data:"):
            return _decoded(text)
        if not text.startswith(prefix):
            return text
        job_id, _, name = text.removeprefix(prefix).partition("/")
        try:
            pictures = {each.name: each.data for each in self._client.job(job_id).pictures()}
        except ClientError as error:
            raise ToolError(words_of(error)) from error
        if name not in pictures:
            raise ToolError(f"{text} is no picture; the job has: {', '.join(pictures)}")
        return pictures[name]

    def parameters(self, **wanted: Any) -> Parameters:
        """The parameters that were given; the sides of others are those the model is made for."""
        model, width, height = wanted.get("model"), wanted.pop("width"), wanted.pop("height")
        if width is None or height is None:
            side = self._native_size(model)
            width, height = width or height or side, height or width or side
        given = {name: value for name, value in wanted.items() if value is not None}
        sides = {"width": width, "height": height} if width and height else {}
        return cast(Parameters, given | sides | {"seed": wanted["seed"]})  # null: a random one

    def _native_size(self, model: str | None) -> int | None:
        models = self._client.models()
        name = model or models.default_model
        return next((each.native_size for each in models.models if each.name == name), None)

    def _facts(self, picture: Picture, file: Path | None) -> str:
        address = f"{self._client.address}/images/{picture.job_id}/{picture.name}"
        facts = [f"address: {address}"] + ([f"file: {file}"] if file else [])
        return "\n".join([f"seed: {picture.seed}", *facts])


def words_of(error: ClientError) -> str:
    """An error as an assistant can act on it: with what every invalid field may be."""
    faults = error.details if isinstance(error, BadRequest) else ()
    lines = [f"{each.field} = {each.value!r}: expected {each.expected}" for each in faults]
    return "\n".join([str(error), *lines])


def _report(context: Context[Any, Any], event: Event) -> None:
    """Tell the host how far the job is; raises if the call was cancelled."""
    from_thread.check_cancelled()
    if isinstance(event, Status):
        from_thread.run(context.report_progress, event.progress.fraction, 1.0, event.message)


def _decoded(url: str) -> bytes:
    try:
        return base64.b64decode(url.partition(",")[2], validate=True)
    except ValueError as error:
        raise ToolError(f"the data: URL is not base64: {error}") from error


def _media(picture: Picture) -> str:
    return "jpeg" if picture.format == "jpg" else picture.format
