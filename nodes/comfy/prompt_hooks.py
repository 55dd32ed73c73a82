"""What our pack does before ComfyUI validates a prompt: it renames old inputs and copies the example pictures."""
# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from aiohttp import web
from server import PromptServer

from ..shared.renaming import rename_inputs
from .folders import copy_examples


def register(node_classes: Mapping[str, type]) -> None:
    """Hook into the running server; nothing happens where the pack is imported without one."""
    server = getattr(PromptServer, "instance", None)
    if server is None:
        return
    server.add_on_prompt_handler(lambda request: prepare(request, node_classes))
    server.routes.post("/autodir/examples")(answer_page)


def prepare(request: dict[str, Any], node_classes: Mapping[str, type]) -> dict[str, Any]:
    """Update the prompt of a POST /prompt in place and return the request."""
    for node in prompt_nodes(request):
        if node.get("class_type") in node_classes:
            rename_inputs(node["inputs"], node_classes[node["class_type"]].INPUT_TYPES())
    copy_examples(value for node in prompt_nodes(request) for value in node["inputs"].values())
    return request


def prompt_nodes(request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the nodes of a prompt; what is none is left to ComfyUI's validation."""
    prompt = request.get("prompt")
    nodes = prompt.values() if isinstance(prompt, dict) else ()
    return (node for node in nodes if isinstance(node, dict) and isinstance(node.get("inputs"), dict))


async def answer_page(request: web.Request) -> web.Response:
    """Copy the example pictures that an opened workflow names; answer with the names of those that were missing."""
    return web.json_response(copy_examples(await request.json()))
