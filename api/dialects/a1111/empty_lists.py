"""What A1111 lists and this service has nothing of; clients ask for it and cope with no items."""

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from api.caller import caller_of
from api.dialect import Services
from api.dialects.a1111.list_models import NoFlags, NoItems, Scripts
from api.dialects.a1111.operation_parts import described

EMPTY = (
    "script-info",
    "hypernetworks",
    "face-restorers",
    "realesrgan-models",
    "prompt-styles",
    "extensions",
)


def empty_list_routes(services: Services) -> Blueprint:
    """The routes whose lists are empty."""
    routes = Blueprint("empty_lists", __name__)

    @described(NoItems, description="no items")
    def nothing() -> ResponseReturnValue:
        """A list of A1111's that is empty here."""
        caller_of(services, request)
        return []

    for name in EMPTY:
        routes.get(f"/{name}", endpoint=name.replace("-", "_"))(nothing)

    @routes.get("/scripts")
    @described(Scripts, description="no scripts")
    def scripts() -> ResponseReturnValue:
        """The names of scripts: none is installed."""
        caller_of(services, request)
        return Scripts().model_dump()

    @routes.get("/cmd-flags")
    @described(NoFlags, description="no flags")
    def cmd_flags() -> ResponseReturnValue:
        """A1111's command line flags: this service has none of them."""
        caller_of(services, request)
        return {}

    return routes
