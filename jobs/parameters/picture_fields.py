"""Which fields of a request change its pictures. Every field does that is not listed here."""

from jobs.parameters.schemas import AnyRequest, fields_of
from jobs.pictures.inputs import INPUT_FIELDS

SAME_PICTURE = frozenset(
    {
        *("type", "device", "unet_bs", "turbo", "deterministic", "priority"),  # how it is run
        *("outdir", "skip_save", "return_base64", "synchronous_request", "webhook"),  # or answered
        *("n_iter", "n_samples", "skip_grid", "n_rows"),  # which others there are
        *("from-file", "plms"),  # an image's own prompt and sampler are elsewhere
        *("C", "f", "laion400m"),  # without a choice
    }
)
"""The fields without which each picture of a request could be made again."""


def picture_fields(schema: type[AnyRequest]) -> list[str]:
    """The names in a body of the fields that change the picture, besides its inputs."""
    return [name for name in fields_of(schema) if name not in SAME_PICTURE | INPUT_FIELDS]
