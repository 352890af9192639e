"""The MCP server with its three tools."""

from pathlib import Path
from typing import Annotated, Any, cast

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from sd_client.client import Client
from sd_client.errors import ClientError
from sd_client.job import Job
from sd_client.mcp.drawing import Answer, Drawing, words_of
from sd_client.parameters import ImageParameters

INSTRUCTIONS = """\
Draws pictures with Stable Diffusion. Describe what is to be seen in a few concrete words, English
works best; name what must not be seen in negative_prompt. A picture takes seconds to minutes.
"""
Prompt = Annotated[str, Field(description="what to draw, in concrete words")]
Negative = Annotated[str, Field(description="what must not be seen")]
Side = Annotated[
    int | None, Field(description="in pixels, a multiple of 8; null: what the model is made for")
]
Steps = Annotated[int | None, Field(description="sampling steps; null: the service's default")]
Seed = Annotated[int | None, Field(description="the same seed draws the same picture; null: any")]
Model = Annotated[str | None, Field(description="a name from list_models; null: the default")]
Count = Annotated[int, Field(ge=1, le=4, description="how many pictures")]
Source = Annotated[
    str,
    Field(
        description="the picture to start from: the path of a file, a data: URL, or the address "
        "that generate_image has returned"
    ),
]
Strength = Annotated[
    float, Field(gt=0, le=1, description="how much is drawn anew: 0.3 a little, 0.8 most of it")
]


def server_of(client: Client, folder: Path | None) -> MCPServer:
    """The server with its three tools. Arguments as of `Drawing`."""
    server = MCPServer("stable-diffusion", instructions=INSTRUCTIONS, log_level="WARNING")
    drawing = Drawing(client, folder)

    @server.tool(structured_output=False)
    def generate_image(
        context: Context[Any, Any],
        prompt: Prompt,
        negative_prompt: Negative = "",
        width: Side = None,
        height: Side = None,
        steps: Steps = None,
        seed: Seed = None,
        model: Model = None,
        count: Count = 1,
    ) -> Answer:
        """Draw pictures from a description. Returns each with its seed and address."""

        def submit() -> Job:
            parameters = drawing.parameters(
                negative_prompt=negative_prompt,
                width=width,
                height=height,
                steps=steps,
                seed=seed,
                model=model,
                count=count,
            )
            return client.submit_generate(prompt, **parameters)

        return drawing.answer(context, submit)

    @server.tool(structured_output=False)
    def edit_image(
        context: Context[Any, Any],
        prompt: Prompt,
        image: Source,
        strength: Strength = 0.6,
        negative_prompt: Negative = "",
        width: Side = None,
        height: Side = None,
        steps: Steps = None,
        seed: Seed = None,
        model: Model = None,
        count: Count = 1,
    ) -> Answer:
        """Draw over a picture, as the prompt says. Returns each with its seed and address."""

        def submit() -> Job:
            parameters = drawing.parameters(
                negative_prompt=negative_prompt,
                width=width,
                height=height,
                steps=steps,
                seed=seed,
                model=model,
                count=count,
                strength=strength,
            )
            return client.submit_img2img(
                prompt, drawing.source(image), **cast(ImageParameters, parameters)
            )

        return drawing.answer(context, submit)

    @server.tool(structured_output=False)
    def list_models() -> str:
        """The models that can draw, what each is made for, and the LoRAs that a prompt may name."""
        try:
            models = client.models()
        except ClientError as error:
            raise ToolError(words_of(error)) from error
        lines = [
            f"{each.name}{' (default)' if each.name == models.default_model else ''}: "
            + (each.problem or f"{each.kind or 'kind unknown'}, made for {each.native_size} pixels")
            for each in models.models
        ]
        loras = ", ".join(f"<lora:{name}:1>" for name in models.loras)
        return "\n".join([*lines, f"LoRAs for the prompt: {loras or 'none'}"])

    return server
