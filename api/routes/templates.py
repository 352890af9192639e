"""GET /templates and /templates/<name>: complete requests to begin with."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from api.answers import RequestBody, Template, Templates
from api.errors import NoSuchTemplate
from api.operations import Answer, Operation, Parameter
from api.templates import ENDPOINTS, TemplateFile, templates

NAME = Parameter(
    name="name",
    where="path",
    means="kind and type",
    schema={"type": "string", "enum": [template.name for template in templates()]},
)


def template_routes() -> Blueprint:
    """The routes that hand out the templates."""
    routes = Blueprint("templates", __name__)
    by_name = {template.name: template for template in templates()}

    @routes.get("/templates")
    @Operation(answers={200: Answer(means="the templates", body=Templates)})
    def listed() -> ResponseReturnValue:
        """The templates, one a kind and type."""
        return Templates(templates=[_described(file) for file in by_name.values()]).model_dump()

    @routes.get("/templates/<name>")
    @Operation(
        answers={200: Answer(means="a complete request", body=RequestBody)},
        errors=(404,),
        parameters=(NAME,),
    )
    def template(name: str) -> ResponseReturnValue:
        """One template: it can be posted as it is."""
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
