"""The parameters of jobs of every kind."""

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from jobs.names import JobKind, JobType
from jobs.parameters.types import WHOLE, Device, Folder, Webhook
from jobs.pictures.inputs import INPUT_FIELDS, INPUT_ROLES, InputRole
from jobs.pictures.output_formats import JPEG_QUALITY, PictureFormat

TYPE_MEANS = "how the model is run, and so which queue the job waits in"


class JobRequest(BaseModel, frozen=True):
    """What any job has, whatever it makes."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)
    kind: ClassVar[JobKind]

    type: Annotated[JobType, Field(description=TYPE_MEANS)]
    outdir: Annotated[Folder, Field(description="folder below the output root")] = (
        "outputs/txt2img-samples"
    )
    skip_save: Annotated[bool, Field(description="do not keep the single pictures")] = False
    return_base64: Annotated[
        bool, Field(description="answer with base64 and facts instead of one image's bytes")
    ] = False
    synchronous_request: Annotated[
        bool, Field(description="answer only when the job has ended")
    ] = False
    device: Annotated[
        Device | None, Field(description="cpu, cuda or cuda:N; the worker's own when omitted")
    ] = None
    format: Annotated[PictureFormat, Field(description="file format of the pictures")] = "png"
    jpeg_quality: Annotated[
        int, Field(ge=1, le=100, description="of pictures in the formats jpg and webp"), WHOLE
    ] = JPEG_QUALITY
    priority: Annotated[
        int,
        Field(ge=0, le=9, description="9 is first among the jobs of the same key"),
        WHOLE,
    ] = 0
    webhook: Annotated[
        Webhook | None, Field(repr=False, description="URL that receives messages about the job")
    ] = None

    @property
    def image_count(self) -> int:
        """How many pictures the request asks for, with one prompt."""
        return 1

    @property
    def inputs(self) -> dict[InputRole, bytes]:
        """The pictures it starts from, as PNG; empty bytes if it was read back from a record."""
        found: dict[InputRole, bytes | None] = {
            role: getattr(self, row.field, None) for role, row in INPUT_ROLES.items()
        }
        return {role: data for role, data in found.items() if data is not None}

    def stored(self) -> dict[str, Any]:
        """The form in the record: the README's names, without pictures and webhook."""
        return self.model_dump(mode="json", by_alias=True, exclude={*INPUT_FIELDS, "webhook"})
