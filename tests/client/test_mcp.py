"""The MCP server as an assistant's host starts it: over stdin and stdout, with a real service."""

import asyncio
import base64
import io
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from mcp import StdioServerParameters
from mcp.client.client import Client
from PIL import Image

from tests.client.running import environment

pytestmark = pytest.mark.service

SMALL = {"width": 64, "height": 64, "steps": 4}


def with_assistant(
    address: str, use: Callable[[Client], Awaitable[None]], *arguments: str | Path
) -> None:
    """Start the server, connect, and use its tools."""
    command = StdioServerParameters(
        command=sys.executable,
        args=["-m", "sd_client.mcp", *map(str, arguments)],
        env=environment(address),
    )

    async def session() -> None:
        async with Client(command) as client:
            await asyncio.wait_for(use(client), 120)

    asyncio.run(session())


def pictures_of(result: Any) -> list[Image.Image]:
    return [
        Image.open(io.BytesIO(base64.b64decode(part.data)))
        for part in result.content
        if part.type == "image"
    ]


def words_of(result: Any) -> str:
    return "\n".join(part.text for part in result.content if part.type == "text")


def test_an_assistant_draws_looks_and_draws_on(small_service: str, tmp_path: Path) -> None:
    seen: list[float] = []

    async def use(assistant: Client) -> None:
        tools = {tool.name for tool in (await assistant.list_tools()).tools}
        assert tools == {"generate_image", "edit_image", "list_models"}
        assert "(default)" in words_of(await assistant.call_tool("list_models"))

        async def progressed(progress: float, total: float | None, message: str | None) -> None:
            seen.append(progress)

        drawn = await assistant.call_tool(
            "generate_image",
            {"prompt": "a red cat", "seed": 7, "count": 2, **SMALL},
            progress_callback=progressed,
        )
        assert not drawn.is_error, words_of(drawn)
        assert [picture.size for picture in pictures_of(drawn)] == [(64, 64)] * 2
        words = words_of(drawn)
        assert "seed: 7" in words
        assert "seed: 8" in words
        address = next(line for line in words.splitlines() if line.startswith("address: "))
        file = next(line for line in words.splitlines() if line.startswith("file: "))

        for source in (address.removeprefix("address: "), file.removeprefix("file: ")):
            edited = await assistant.call_tool(
                "edit_image", {"prompt": "a blue cat", "image": source, "strength": 0.5, **SMALL}
            )
            assert not edited.is_error, words_of(edited)
            assert [picture.size for picture in pictures_of(edited)] == [(64, 64)]

    with_assistant(small_service, use, "--folder", tmp_path / "new")

    assert len(list((tmp_path / "new").glob("*.png"))) == 4
    assert seen == sorted(seen)
    assert seen[-1] == 1


def test_what_is_wrong_is_told_in_words(small_service: str) -> None:
    async def use(assistant: Client) -> None:
        for tool, arguments, expected in (
            ("generate_image", {"prompt": "a cat", "model": "nosuch"}, "nosuch"),
            ("generate_image", {"prompt": "a cat", "width": 63, "height": 64}, "multiple of 8"),
            ("edit_image", {"prompt": "a cat", "image": "/no/such.png", **SMALL}, "/no/such.png"),
            ("edit_image", {"prompt": "a cat", "image": "data:image/png;base64,é"}, "base64"),
            (
                "edit_image",
                {"prompt": "a cat", "image": f"{small_service}/images/nosuch/0", **SMALL},
                "no such job",
            ),
        ):
            result = await assistant.call_tool(tool, arguments)
            assert result.is_error
            assert expected in words_of(result)

    with_assistant(small_service, use)


def test_a_service_that_is_not_there_is_told_in_words() -> None:
    async def use(assistant: Client) -> None:
        result = await assistant.call_tool("list_models")
        assert result.is_error
        assert "127.0.0.1:1" in words_of(result)

    with_assistant("http://127.0.0.1:1", use)
