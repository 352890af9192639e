"""GET /templates and /templates/<name>: complete requests to start from."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from api.dialects.native.capabilities_models import RequestBody, Template, Templates
from api.dialects.native.template_files import ENDPOINTS, TemplateFile, templates
from api.errors import NoSuchTemplate
from api.operations import ApiResponse, Operation, Parameter

NAME = Parameter(
    name="name",
    where="path",
    description="kind and type",
    schema={"type": "string", "enum": [template.name for template in templates()]},
)


def template_routes() -> Blueprint:
    """The routes that serve the templates."""
    routes = Blueprint("templates", __name__)
    by_name = {template.name: template for template in templates()}

    @routes.get("/templates")
    @Operation(responses={200: ApiResponse(description="the templates", body=Templates)})
    def template_list() -> ResponseReturnValue:
        """The templates, one for each kind and type."""
        return Templates(templates=[_described(file) for file in by_name.values()]).model_dump()

    @routes.get("/templates/<name>")
    @Operation(
        responses={200: ApiResponse(description="a complete request", body=RequestBody)},
        errors=(404,),
        parameters=(NAME,),
    )
    def template(name: str) -> ResponseReturnValue:
        """One template, which can be posted as it is."""
        if name not in by_name:
            raise NoSuchTemplate(f"there is no template {name!r}; there are: {', '.join(by_name)}")
        return by_name[name].body()

    return routes


def _described(file: TemplateFile) -> Template:
    return Template(
        name=file.name,
        kind=file.kind,
        type=file.type,
        href=f"/templates/{file.name}",
        post_to=ENDPOINTS[file.kind],
    )
