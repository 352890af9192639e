"""GET and POST /sdapi/v1/options: the settings of the caller's key, never everybody's."""

from typing import Annotated, Any, Optional

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from pydantic import ConfigDict, Field, create_model

from api.caller import caller_of, read_request
from api.dialect import Services
from api.dialects.a1111.caller_options import (
    CallerOptions,
    all_values,
    caller_options,
    store_options,
    with_settings,
)
from api.dialects.a1111.operation_parts import Warnings, described


class AllOptions(CallerOptions, frozen=True):
    """The key's options, and the further settings that clients look up."""

    model_config = ConfigDict(extra="allow")

    sd_checkpoint_hash: Annotated[str, Field(description="the start of the model's SHA-256")] = ""


_NULLABLE: dict[str, Any] = {
    name: (Optional[Annotated[info.annotation, Field(), *info.metadata]], None)  # noqa: UP045
    for name, info in CallerOptions.model_fields.items()
}
OptionChanges = create_model("OptionChanges", __config__=ConfigDict(extra="allow"), **_NULLABLE)
"""Some of the options, with others of A1111's; null sets one to its default."""


def option_routes(services: Services) -> Blueprint:
    """The routes that read and change the options of a key."""
    routes = Blueprint("options", __name__)
    jobs = services.jobs

    @routes.get("/options")
    @described(AllOptions, description="the options of the key")
    def options() -> ResponseReturnValue:
        """The settings under which this key's requests are read.

        They belong to the API key: what another key sets does not change them.
        """
        caller = caller_of(services, request)
        return all_values(caller_options(services, caller), services, jobs.served())

    @routes.post("/options")
    @described(Warnings, description="what had no effect", body=OptionChanges)
    def set_options() -> ResponseReturnValue:
        """Change settings of this key; the whole object of GET /options is accepted.

        A setting that this service does not have changes nothing and is named in `warnings`, unless
        it has the value that GET /options returns.
        """
        caller, changes = read_request(services, request)
        before = caller_options(services, caller)
        after, warnings = with_settings(before, changes, services, jobs.served())
        store_options(services, caller, before=before, after=after)
        return Warnings(warnings=list(warnings)).model_dump()

    return routes
